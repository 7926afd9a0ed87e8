"""Tests beside a table: claims with the figures that an analyst worked out by hand, in `NAME.tests.yaml`."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fhir_billing.adjudication.engine import adjudicate
from fhir_billing.adjudication.facts import Authorization, Case, Line, Member, PriorLine
from fhir_billing.adjudication.library import TESTS, Plans, files_in
from fhir_billing.adjudication.loading import read_yaml
from fhir_billing.adjudication.results import LineResult
from fhir_billing.money import smallest_of


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Given(_Strict):
    """A line of a test, and what it shall come to: `paid`, and adjustments by group and reason, `CO-45`, `PR-1`."""

    code: str
    day: date
    charge: Decimal
    quantity: Decimal = Decimal(1)
    modifiers: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    authorization: str = ""
    earlier_paid: Decimal | None = None
    earlier_patient: Decimal | None = None
    expect: dict[str, Decimal]


class GivenAuthorization(_Strict):
    """A prior authorization of a test."""

    codes: tuple[str, ...]
    start: date
    end: date
    units: Decimal | None = None
    amount: Decimal | None = None


class Vector(_Strict):
    """One claim."""

    name: str
    submitted: date
    since: date
    until: date | None = None
    born: date | None = None
    order: int = 1
    in_network: bool = True
    used: dict[str, Decimal] = Field(default_factory=dict)
    authorizations: dict[str, GivenAuthorization] = Field(default_factory=dict)
    lines: tuple[Given, ...]


class Vectors(_Strict):
    """The tests of one plan."""

    plan: str
    cases: tuple[Vector, ...]


def case_of(vector: Vector, currency: str) -> Case:
    """Return the claim of a test."""
    lines = tuple(
        Line(
            number, (each.code,), each.day, each.charge, each.quantity, each.modifiers, each.diagnoses,
            each.authorization, _earlier(each),
        )
        for number, each in enumerate(vector.lines, 1)
    )  # fmt: skip
    granted = {
        name: Authorization(each.codes, each.start, each.end, each.units, each.amount)
        for name, each in vector.authorizations.items()
    }
    member = Member(vector.born, vector.since, vector.until, vector.order)
    return Case(currency, vector.submitted, member, lines, "provider", vector.in_network, granted)


def _earlier(given: Given) -> PriorLine | None:
    if given.earlier_patient is None:
        return None
    return PriorLine(given.earlier_paid or Decimal(0), given.earlier_patient)


def figures(line: LineResult) -> dict[str, Decimal]:
    """Return what a line came to, as tests say it."""
    found = {"paid": line.paid} if line.paid else {}
    for each in line.adjustments:
        name = f"{each.group}-{each.reason}"
        found[name] = found.get(name, Decimal(0)) + each.amount
    return found


def faults(plans: Plans, vector: Vector, plan: str) -> Iterator[str]:
    """Yield where a test's figures are not those of the engine."""
    compiled = plans.find(plan, vector.lines[0].day)
    currency = compiled.plan.currency
    result = adjudicate(compiled, case_of(vector, currency), vector.used, smallest_of(currency))
    for given, line in zip(vector.lines, result.lines, strict=True):
        expected = {name: amount for name, amount in given.expect.items() if amount}
        if (found := figures(line)) != expected:
            yield f"{vector.name}, line {line.sequence}: {_said(found)} instead of {_said(expected)}"


def _said(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{name} {amount}" for name, amount in sorted(amounts.items())) or "nothing"


def read_vectors(path: Path) -> Vectors:
    """Read a file of tests. Raises BadTable, ValidationError."""
    document: Any = read_yaml(path.read_text(encoding="utf-8"), path.name)
    return Vectors.model_validate(document)


def run(folder: Path, plans: Plans) -> tuple[int, list[str]]:
    """Run all tests beside the tables of a folder; return how many there were, and what is wrong."""
    count, found = 0, []
    for table in files_in(folder):
        path = table.with_name(table.stem + TESTS)
        if path.exists():
            vectors = read_vectors(path)
            count += len(vectors.cases)
            found += [f"{path.name}: {fault}" for each in vectors.cases for fault in faults(plans, each, vectors.plan)]
    return count, found
