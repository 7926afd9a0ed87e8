"""Finding concepts by words of their displays and designations, best first.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html (parameter `filter`)
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fhir_server.terminology.code_system import CodeSystem, Concept

WHOLE: Final = 0
"""The text is what was asked for."""
BEGUN: Final = 1
"""The text begins with it."""
WHOLE_WORDS: Final = 2
"""All words asked for are words of the text."""
STARTS: Final = 3
"""They are starts of words."""
INSIDE: Final = 4
"""They stand inside of words."""
_WORST: Final = 9
_NOTHING: Final = (_WORST, 0)

Rank = tuple[int, int]
"""How good a text is, and its length: of two that are as good the shorter one is better."""


def found(system: CodeSystem, codes: Iterable[str], text: str) -> Iterator[str]:
    """Yield those of the codes whose concept holds the text, best first."""
    words = words_of(text)
    ranked: list[tuple[Rank, int, str]] = []
    for place, code in enumerate(codes):
        concept = system.concept(code)
        if concept is not None and not worst(rank := rank_of(words, texts_of(concept))):
            ranked.append((rank, place, code))
    return (code for _, _, code in sorted(ranked))


def words_of(text: str) -> Sequence[str]:
    """Return the words of a text, folded."""
    return folded(text).split()


def texts_of(concept: Concept) -> Iterator[str]:
    """Yield what a concept may be found by, the best first."""
    yield concept.display or concept.code
    yield concept.code
    for each in concept.designations:
        yield each.value


def rank_of(words: Sequence[str], texts: Iterable[str]) -> Rank:
    """Return how good the best text is."""
    return min((_rank(words, folded(text)) for text in texts), default=_NOTHING)


def worst(rank: Rank) -> bool:
    """Tell whether a rank means that nothing was found."""
    return rank[0] >= _WORST


def folded(text: str) -> str:
    """Return a text without case and accents."""
    if text.isascii():
        return text.lower()
    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


def rank_in_full(asked: str, text: str) -> int:
    """Return the rank of a text that begins with all that was asked."""
    return WHOLE if text == asked else BEGUN


def _rank(words: Sequence[str], text: str) -> Rank:
    if not all(word in text for word in words):
        return _NOTHING
    asked = " ".join(words)
    if text.startswith(asked):
        return rank_in_full(asked, text), len(text)
    own = text.split()
    if all(word in own for word in words):
        return WHOLE_WORDS, len(text)
    starts = all(any(each.startswith(word) for each in own) for word in words)
    return STARTS if starts else INSIDE, len(text)
