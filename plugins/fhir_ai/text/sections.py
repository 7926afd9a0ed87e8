"""Sections: the headings of a document, and what stands below each; and its sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_HEADING: Final = re.compile(r"(?:^|(?<=\n)|(?<=[.;] ))[ \t]{0,20}([A-Z][A-Za-z][A-Za-z /&,'()-]{1,48}):", re.ASCII)
_END: Final = re.compile(r"[.!?;](?=[ \t\r\n\"')\]]|$)|\n[ \t]*(?:\n|[-*\u2022\u00b7]|[0-9]{1,2}[.)] )|\r")
_ABBREVIATIONS: Final = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "vs",
        "no",
        "approx",
        "e.g",
        "i.e",
        "etc",
        "st",
        "fig",
        "q.d",
        "b.i.d",
        "t.i.d",
        "p.r.n",
        "a.m",
        "p.m",
        "resp",
        "temp",
    ]
)
_LONGEST: Final = 1_500
_KINDS: Final = {
    "findings": "findings report chest procedure examination exam physical-exam vital-signs vitals "
    "physical-examination objective review-of-systems ros subjective interpretation description labs "
    "laboratory-data results hospital-course course",
    "impression": "impression impressions conclusion conclusions assessment assessment-and-plan opinion summary "
    "diagnosis diagnoses discharge-diagnosis discharge-diagnoses final-diagnosis admission-diagnosis a-p "
    "principal-diagnosis primary-diagnosis secondary-diagnoses problem-list problems active-problems",
    "indication": "indication indications clinical-indication reason reason-for-exam reason-for-examination "
    "clinical-information clinical-history technique comparison comparisons clinical-data question requested",
    "history": "history past-medical-history pmh medical-history past-history past-surgical-history surgical-history "
    "previous-history",
    "presenting": "chief-complaint cc hpi history-of-present-illness present-illness complaint reason-for-visit "
    "reason-for-admission presenting-complaint history-of-presenting-complaint",
    "family": "family-history fh family-hx fhx",
    "social": "social-history sh occupational-history",
    "medications": "medications medication current-medications discharge-medications home-medications meds "
    "medications-on-admission medication-list drugs prescriptions treatment",
    "allergies": "allergies allergy drug-allergies adverse-reactions",
    "plan": "plan recommendations recommendation disposition follow-up instructions discharge-instructions advice",
}
KINDS: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}


@dataclass(frozen=True, slots=True)
class Section:
    """A section: what it is about (of KINDS, or `other`), its heading, and the offsets of its text."""

    kind: str
    title: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """The offsets of a sentence, and the section that it stands in."""

    start: int
    end: int
    section: Section


def sections(text: str) -> list[Section]:
    """Cut a text at its headings; what stands before the first has none."""
    found = [("other", "", 0, 0)]
    for met in _HEADING.finditer(text):
        title = met[1].strip()
        kind = KINDS.get(_key(title))
        if kind is None and not title.isupper():
            continue  # `Heart:` is a part of a finding, not a section
        found.append((kind or "other", title, met.start(1), met.end()))
    ends = [start for _, _, start, _ in found[1:]] + [len(text)]
    return [Section(kind, title, after, end) for (kind, title, _, after), end in zip(found, ends, strict=True)]


def _key(title: str) -> str:
    return "-".join(re.findall(r"[a-z]+", title.lower()))


def sentences(text: str, section: Section) -> Iterator[Sentence]:
    """Yield the sentences of a section; very long ones are cut."""
    start = section.start
    for met in _END.finditer(text, section.start, section.end):
        if met[0][0] == "." and _goes_on(text, start, met.start()):
            continue
        yield from _cut(start, met.end() if met[0][0] != "\n" else met.start(), section)
        start = met.end() if met[0][0] != "\n" else met.start() + 1
    yield from _cut(start, section.end, section)


def _goes_on(text: str, start: int, dot: int) -> bool:
    """Tell whether a dot ends an abbreviation or the number of a list."""
    before = text[max(start, dot - 12) : dot]
    last = before.split()[-1].lower() if before.split() else ""
    return last in _ABBREVIATIONS or (last.isdigit() and text[start:dot].strip() == last)


def _cut(start: int, end: int, section: Section) -> Iterator[Sentence]:
    while end - start > _LONGEST:
        yield Sentence(start, start + _LONGEST, section)
        start += _LONGEST
    if end > start:
        yield Sentence(start, end, section)
