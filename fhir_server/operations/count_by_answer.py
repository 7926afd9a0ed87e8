"""What `$count-by` answers: groups as Parameters or CSV, small ones left out where a site wants that."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fhir_server.errors import Issue
from fhir_server.interactions.outcome import outcome
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.outputs import Pairs, Typed
from fhir_server.search.dates import date_bounds
from fhir_server.search.parser import ParsedSearch
from fhir_server.storage.base.counting import By, Counted, Group, Label, bucket

_ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Ranked = Sequence[tuple[Group, int]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was counted, and how it is told.

    url: of the type. least: the smallest number that is told. most: of groups.
    """

    by: Sequence[By]
    counted: Counted
    url: str
    asked: ParsedSearch
    least: int = 0
    most: int | None = None

    @property
    def told(self) -> Ranked:
        """The groups that may be told, those of the most resources first."""
        ranked = sorted(self.counted.groups.items(), key=_rank)
        return ranked[: len(ranked) - self.suppressed]

    @property
    def suppressed(self) -> int:
        """How many of the smallest groups are left out. A single one would follow from the others: two go then."""
        small = sum(number < self.least for number in self.counted.groups.values())
        return min(2, len(self.counted.groups)) if small == 1 else small

    @property
    def total(self) -> int | None:
        """How many resources there are; None where that would tell of what is left out."""
        return None if self.suppressed else self.counted.total


def _rank(item: tuple[Group, int]) -> tuple[int, tuple[tuple[str, ...], ...]]:
    group, number = item
    return -number, tuple(label or () for label in group)


def as_parameters(answer: Answer) -> Pairs:
    """Return the outputs of the operation."""
    told = answer.told
    shown = told if answer.most is None else told[: answer.most]
    found: list[tuple[str, Any]] = [] if answer.total is None else [("total", answer.total)]
    found += [("grouping", _grouping(answer, group, number)) for group, number in shown]
    found += [("more", len(told) - len(shown))] if len(shown) < len(told) else []
    found += [("suppressed", answer.suppressed)] if answer.suppressed else []
    notes = [Issue(note, "informational", "warning") for note in answer.counted.notes]
    issues = [*answer.asked.issues, *notes]
    return [*found, *([("outcome", outcome(issues))] if issues else [])]


def _grouping(answer: Answer, group: Group, number: int) -> Pairs:
    labels = [("label", _label(by, label)) for by, label in zip(answer.by, group, strict=True)]
    drill = _drill_down(answer, group)
    return [*labels, ("result", number), *([("drillDown", drill)] if drill else [])]


def _label(by: By, label: Label | None) -> Typed:
    if label is None:
        return Typed("Coding", {"extension": [_ABSENT]})
    if by.kind == "token":
        system, code = label
        return Typed("Coding", {"system": system, "code": code} if system else {"code": code})
    return Typed("Reference", {"reference": label[0]}) if by.kind == "reference" else Typed("date", label[0])


def _drill_down(answer: Answer, group: Group) -> str:
    """Return the search for the resources of a group; "" where no search says that a label is missing."""
    wanted: list[tuple[str, str]] = list(answer.asked.applied)
    for by, label in zip(answer.by, group, strict=True):
        if label is None:
            return ""
        wanted += _criteria(by, label)
    return f"{answer.url}?{urlencode(wanted, safe=':,/$')}"


def _criteria(by: By, label: Label) -> Iterator[tuple[str, str]]:
    if by.kind == "token":
        yield by.param, "|".join(map(_plain, label))
    elif by.kind == "reference":
        yield by.param, _plain(label[0])
    else:
        low, high = date_bounds(label[0], by.zone)
        yield by.param, f"sa{bucket(low - 1, by.unit, by.zone)}"
        yield by.param, f"lt{bucket(high, by.unit, by.zone)}"


def _plain(text: str) -> str:
    """Escape what is a mark in search values. Spec: https://hl7.org/fhir/R4/search.html#escaping"""
    for mark in "\\,|$":
        text = text.replace(mark, f"\\{mark}")
    return text


def as_csv(answer: Answer) -> FhirResponse:
    """Return the groups as a table, with a line of names."""
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow([name for by in answer.by for name in _columns(by)] + ["count"])
    for group, number in answer.told[: answer.most]:
        cells = [cell for by, label in zip(answer.by, group, strict=True) for cell in _cells(by, label)]
        table.writerow([*map(_harmless, cells), number])
    return FhirResponse(200, (file.getvalue().encode(),), media_type="text/csv; charset=utf-8")


def _columns(by: By) -> Sequence[str]:
    return (f"{by.param}.system", by.param) if by.kind == "token" else (by.param,)


def _cells(by: By, label: Label | None) -> Sequence[str]:
    return label or (("", "") if by.kind == "token" else ("",))


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
