"""Context: whether what a sentence names is there, denied, in doubt, past, or somebody else's.

After NegEx and ConText, with scopes of our own: a denial reaches over whole lists, up to a word that ends it.
Sources: Chapman 2001 (doi:10.1006/jbin.2001.1029), Harkema 2009 (doi:10.1016/j.jbi.2009.05.002).
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

from fhir_ai.text.words import Phrase, Phrases, Word

Effect = Literal["negated", "possible", "probable", "historical", "hypothetical", "family", "end", "nothing"]


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a phrase does to what stands after it, before it, or on both sides. most: words that it reaches; 0: all."""

    effect: Effect
    side: Literal["after", "before", "both"]
    most: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What is said of a mention; `cues` are the words that say so, as places among the words of the sentence."""

    negated: bool = False
    possible: bool = False
    probable: bool = False
    historical: bool = False
    hypothetical: bool = False
    family: bool = False
    cues: tuple[tuple[int, int], ...] = ()


def _triggers() -> Phrases[Trigger]:
    table = json.loads(files(__package__).joinpath("triggers.json").read_text(encoding="utf-8"))
    pairs = [
        (phrase, Trigger(each["effect"], each["side"], each.get("most", 0)))
        for each in table
        for phrase in each["phrases"]
    ]
    return Phrases(pairs)


_TRIGGERS: Final = _triggers()
_SIGNS_THAT_END: Final = frozenset((";", ":"))


class Cues:
    """The triggers of one sentence, ordered so that the nearest of each kind is found at once.

    Args:
        words: of the sentence.
    """

    def __init__(self, words: Sequence[Word]) -> None:
        self._ends = [at for at, word in enumerate(words) if word.text in _SIGNS_THAT_END]
        self._kinds: dict[Trigger, list[Phrase[Trigger]]] = {}
        for each in _TRIGGERS.find(words):
            if each.means.effect == "end":
                self._ends.append(each.first)
            elif each.means.effect != "nothing":
                self._kinds.setdefault(each.means, []).append(each)
        self._ends.sort()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._kinds)

    def of(self, first: int, last: int) -> Context:
        """Return what is said of the words from `first` to before `last`."""
        effects: dict[str, tuple[int, int]] = {}
        for kind, found in self._kinds.items():
            cue = self._cue(kind, found, first, last)
            if cue is not None:
                effects.setdefault(kind.effect, cue)
        return Context(
            "negated" in effects, "possible" in effects, "probable" in effects, "historical" in effects,
            "hypothetical" in effects, "family" in effects, tuple(effects.values()),
        )  # fmt: skip

    def _cue(self, kind: Trigger, found: list[Phrase[Trigger]], first: int, last: int) -> tuple[int, int] | None:
        if kind.side in ("after", "both"):
            at = bisect_right(found, first, key=lambda each: each.last) - 1
            if at >= 0 and self._reaches(kind, found[at].last, first):
                return found[at].first, found[at].last
        if kind.side in ("before", "both"):
            at = bisect_left(found, last, key=lambda each: each.first)
            if at < len(found) and self._reaches(kind, last, found[at].first):
                return found[at].first, found[at].last
        return None

    def _reaches(self, kind: Trigger, low: int, high: int) -> bool:
        """Tell whether nothing that ends a scope stands between, and it is not too far."""
        if kind.most and high - low > kind.most:
            return False
        at = bisect_left(self._ends, low)
        return at == len(self._ends) or self._ends[at] >= high
