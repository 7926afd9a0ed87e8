"""Segments: lines of an X12 transaction as tuples of elements, whatever delimiters they came with.

Inside of an element COMPONENT stands between components and REPEAT between repetitions.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

Segment = tuple[str, ...]
COMPONENT: Final = "\x1f"
REPEAT: Final = "\x1e"
_PLAIN: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The four characters that an interchange declares in its ISA, and what follows each segment."""

    element: str = "*"
    component: str = ":"
    repeat: str = "^"
    segment: str = "~"
    line: str = ""

    def __post_init__(self) -> None:
        """Hold them apart. Raises ValueError."""
        if len({self.element, self.component, self.repeat, self.segment}) != 4:
            raise ValueError("the delimiters of an interchange differ from each other")

    def read(self, text: str) -> Segment:
        """Return the elements of one segment."""
        canonical = text.replace(self.component, COMPONENT).replace(self.repeat, REPEAT)
        return tuple(canonical.split(self.element))

    def write(self, segment: Segment) -> str:
        """Return the text of a segment, without empty elements at its end."""
        last = max((n for n, element in enumerate(segment) if element), default=0)
        text = self.element.join(self._clean(element) for element in segment[: last + 1])
        text = text.replace(COMPONENT, self.component).replace(REPEAT, self.repeat)
        return f"{text}{self.segment}{self.line}"

    def _clean(self, element: str) -> str:
        """Return an element without what would be taken for a delimiter; X12 cannot escape."""
        for each in (self.element, self.component, self.repeat, self.segment):
            element = element.replace(each, " ")
        return element


def element(segment: Segment, number: int) -> str:
    """Return an element by its number in the guides (01 is the first after the name); empty where there is none."""
    return segment[number] if number < len(segment) else ""


def component(text: str, number: int) -> str:
    """Return a component of an element, from 1; empty where there is none."""
    parts = text.split(COMPONENT)
    return parts[number - 1] if number <= len(parts) else ""


def composite(*parts: str) -> str:
    """Return an element of components, without empty ones at its end."""
    return COMPONENT.join(parts).rstrip(COMPONENT)


def plain(text: object, most: int = 60) -> str:
    """Return text as it can stand in an element: upper case, basic characters, no delimiters, not too long."""
    return _PLAIN.sub(" ", str(text or "")).upper()[:most].strip()


def loops(segments: Sequence[Segment], *starts: str) -> Iterator[tuple[Segment, ...]]:
    """Yield the runs of segments that begin with one of some names; what comes before the first is left out."""
    current: list[Segment] = []
    for each in segments:
        if each[0] in starts:
            if current:
                yield tuple(current)
            current = [each]
        elif current:
            current.append(each)
    if current:
        yield tuple(current)


def first(segments: Iterable[Segment], name: str, *qualifier: str) -> Segment:
    """Return the first segment of a name whose first elements are as given; an empty one where there is none."""
    for each in segments:
        if each[0] == name and each[1 : 1 + len(qualifier)] == qualifier:
            return each
    return (name,)
