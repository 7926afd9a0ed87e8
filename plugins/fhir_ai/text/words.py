"""Words: the tokens of a text with their offsets, and phrases found among them in one pass, the longest first.

There is no pattern that could be made to run long: words are cut by one expression without nesting, phrases are looked
up in a tree of words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_WORD: Final = re.compile(r"[A-Za-z]{1,60}|[0-9]{1,20}(?:[.,][0-9]{1,10})?|[%/\-+<>=:;,.()?\[\]]")
LETTERS: Final = re.compile(r"[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, number or sign: in lower case, with its offsets in the text."""

    text: str
    start: int
    end: int


def words_of(text: str, start: int = 0, end: int | None = None) -> list[Word]:
    """Return the words of a part of a text."""
    found = _WORD.finditer(text, start, len(text) if end is None else end)
    return [Word(each[0].lower(), each.start(), each.end()) for each in found]


@dataclass(frozen=True, slots=True)
class Phrase(Generic[T]):
    """A phrase that was found: words from `first` to before `last`, and what it stands for."""

    first: int
    last: int
    means: T


class Phrases(Generic[T]):
    """Finds phrases among words.

    Args:
        meanings: by phrase; words of a phrase are parted by blanks, signs count as words.
    """

    def __init__(self, meanings: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        self._tree: dict[str, Any] = {}  # of trees; the key "" holds the meaning
        pairs = meanings.items() if isinstance(meanings, Mapping) else meanings
        for phrase, means in pairs:
            node = self._tree
            for word in words_of(phrase):
                node = node.setdefault(word.text, {})
            node[""] = means

    def find(self, words: Sequence[Word]) -> Iterator[Phrase[T]]:
        """Yield phrases, the longest at each place, none within another."""
        at = 0
        while at < len(words):
            found = self._at(words, at)
            if found is not None:
                yield found
                at = found.last
            else:
                at += 1

    def _at(self, words: Sequence[Word], first: int) -> Phrase[T] | None:
        node: dict[str, Any] = self._tree
        found: Phrase[T] | None = None
        for at in range(first, len(words)):
            node = node.get(words[at].text, {})
            if not node:
                break
            if "" in node:
                found = Phrase(first, at + 1, node[""])
        return found
