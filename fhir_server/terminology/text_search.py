"""Finding concepts by words of their displays and designations, best first.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html (parameter `filter`)
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from fhir_server.terminology.code_system import CodeSystem, Concept

_WORST = 9


def found(system: CodeSystem, codes: Iterable[str], text: str) -> Iterator[str]:
    """Yield those of the codes whose concept holds the text, best first."""
    words = words_of(text)
    ranked: list[tuple[int, int, str]] = []
    for place, code in enumerate(codes):
        concept = system.concept(code)
        if concept is not None and (rank := rank_of(words, texts_of(concept))) < _WORST:
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


def rank_of(words: Sequence[str], texts: Iterable[str]) -> int:
    """Return how good the best text is: 0 the whole, 1 its start, 2 starts of words, 3 inside of words; else 9."""
    best = _WORST
    for text in texts:
        if best == 0:
            break
        best = min(best, _rank(words, folded(text)))
    return best


def worst(rank: int) -> bool:
    """Tell whether a rank means that nothing was found."""
    return rank >= _WORST


def matches(words: Sequence[str], texts: Iterable[str]) -> bool:
    """Tell whether one of the texts holds all words."""
    return rank_of(words, texts) < _WORST


def folded(text: str) -> str:
    """Return a text without case and accents."""
    if text.isascii():
        return text.lower()
    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


def _rank(words: Sequence[str], text: str) -> int:
    if not all(word in text for word in words):
        return _WORST
    asked = " ".join(words)
    if text == asked:
        return 0
    if text.startswith(asked):
        return 1
    return 2 if all(f" {word}" in f" {text}" for word in words) else 3
