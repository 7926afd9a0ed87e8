"""Extracting: mentions of problems, medicines and measurements in a text, each with what is said of it and where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fhir_ai.text.context import Context, Cues
from fhir_ai.text.lexicon import PHRASES, Concept
from fhir_ai.text.measures import Measure, dose_after, measure_after, size_near
from fhir_ai.text.sections import Section, Sentence, sections, sentences
from fhir_ai.text.times import Time, times
from fhir_ai.text.words import Phrase, Word, words_of

Assertion = Literal["present", "probable", "possible", "absent", "hypothetical"]
_ASKED: Final = "indication"
_DIAGNOSES: Final = frozenset(("impression", "history"))
_ITEM: Final = 8
_BULLETS: Final = frozenset(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "-", ".", ")", "("])
_STOPS: Final = frozenset((".", ";", ",", ":"))


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention: offsets of its words in the text, and what the text says of it.

    experiencer: patient or family. historical: of the past. cues: offsets of the words that say so.
    """

    concept: Concept
    start: int
    end: int
    section: Section
    assertion: Assertion
    experiencer: Literal["patient", "family"] = "patient"
    historical: bool = False
    measure: Measure | None = None
    time: Time | None = None
    cues: tuple[tuple[int, int], ...] = ()


def extract(text: str) -> Iterator[Mention]:
    """Yield the mentions of a text in their order."""
    for section in sections(text):
        for sentence in sentences(text, section):
            yield from _of_sentence(text, sentence)


def items(text: str) -> Iterator[tuple[int, int, Section]]:
    """Yield the offsets of short lines of diagnoses in which the lexicon knows nothing, for a terminology to know."""
    for section in sections(text):
        if section.kind in _DIAGNOSES:
            for sentence in sentences(text, section):
                words = words_of(text, sentence.start, sentence.end)
                while words and words[0].text in _BULLETS:
                    words.pop(0)
                while words and words[-1].text in _STOPS:
                    words.pop()
                if 0 < len(words) <= _ITEM and not next(PHRASES.find(words), None) and not Cues(words):
                    yield words[0].start, words[-1].end, section


def _of_sentence(text: str, sentence: Sentence) -> Iterator[Mention]:
    words = words_of(text, sentence.start, sentence.end)
    found = list(PHRASES.find(words))
    if not found:
        return
    cues, when = Cues(words), times(text, sentence.start, sentence.end)
    for each in found:
        measure = _measure(words, each)
        if each.means.kind == "measurement" and measure is None:
            continue
        said = cues.of(each.first, each.last)
        start, end = words[each.first].start, words[each.last - 1].end
        places = tuple((words[first].start, words[last - 1].end) for first, last in said.cues)
        near = min(when, key=lambda time: abs(time.start - start), default=None)
        yield Mention(
            each.means, start, end, sentence.section, _assertion(said, each.means, sentence.section),
            "family" if said.family or sentence.section.kind == "family" else "patient",
            said.historical or sentence.section.kind == "history", measure, near, places,
        )  # fmt: skip


def _measure(words: Sequence[Word], found: Phrase[Concept]) -> Measure | None:
    if found.means.kind == "measurement":
        return measure_after(words, found.last, found.means)
    if found.means.kind == "medication":
        return dose_after(words, found.last)
    return size_near(words, found.first, found.last)


def _assertion(said: Context, concept: Concept, section: Section) -> Assertion:
    if concept.kind == "measurement":
        return "present"
    if said.negated:
        return "absent"
    if said.hypothetical or (section.kind == _ASKED and concept.kind == "problem"):
        return "hypothetical"
    if said.possible:
        return "possible"
    return "probable" if said.probable else "present"
