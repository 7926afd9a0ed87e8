"""Languages that are asked for: lists as in Accept-Language, and which display fits.

Spec: https://www.rfc-editor.org/rfc/rfc9110#field.accept-language
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_TAG = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*|\*")


@dataclass(frozen=True, slots=True)
class Languages:
    """The tags, the most wanted first; `others` False: nothing else will do (`*; q=0`)."""

    tags: Sequence[str]
    others: bool = True
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.tags)

    def rank(self, language: str) -> int | None:
        """Return how well a language fits, 0 best: the tags in their order; of each the very tag, one that says more,
        one that says less, one of another region. None where it is another language.
        """
        if not language:
            return None
        mine = language.lower()
        for place, tag in enumerate(self.tags):
            asked = tag.lower()
            if mine == asked:
                return 4 * place
            if mine.startswith(asked + "-"):
                return 4 * place + 1
            if asked.startswith(mine + "-"):
                return 4 * place + 2
            if mine.partition("-")[0] == asked.partition("-")[0]:
                return 4 * place + 3
        return None

    def named(self) -> str:
        """Return the tags for people; `--` where there are none."""
        return ", ".join(self.tags) or "--"


ANY = Languages(())


@lru_cache(maxsize=200)
def read_languages(text: str) -> Languages | None:
    """Read `de, en;q=0.5, *;q=0`; None where it is broken."""
    wanted: list[tuple[float, int, str]] = []
    others = True
    shown = ""
    for place, item in enumerate(text.split(",")):
        tag, _, parameter = item.partition(";")
        tag, quality = tag.strip(), _quality(parameter)
        if not _TAG.fullmatch(tag) or quality is None:
            return None
        shown += ("" if not shown else "," if not parameter else ", ") + tag + _shown(parameter)
        if tag == "*":
            others = quality > 0
        elif quality > 0:
            wanted.append((-quality, place, tag))
    return Languages(tuple(tag for _, _, tag in sorted(wanted)), others, shown)


def _quality(parameter: str) -> float | None:
    if not parameter.strip():
        return 1.0
    name, _, value = parameter.partition("=")
    try:
        quality = float(value)
    except ValueError:
        return None
    return quality if name.strip() == "q" and 0 <= quality <= 1 else None


def _shown(parameter: str) -> str:
    return f"; q={parameter.partition('=')[2].strip()}" if parameter.strip() else ""
