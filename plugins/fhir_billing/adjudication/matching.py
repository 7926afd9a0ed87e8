"""Compiled: a plan with its rows indexed, so that the one for a line is found in a few lookups."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple, TypeVar

from fhir_billing.adjudication.facts import Line
from fhir_billing.adjudication.plan import Benefit, Bundle, Plan, Price

T = TypeVar("T")


class Fit(NamedTuple):
    """How exactly a row fits: the longer its code the better, then the more conditions it has; later rows lose."""

    exact: int
    conditions: int
    place: int


class Compiled:
    """A plan, ready to adjudicate."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rows = _indexed([(code, (n, row)) for n, row in enumerate(plan.benefits) for code in row.codes])
        self._prices = _indexed([(row.code, row) for row in plan.tariff])
        self._including = _indexed([(code, row) for row in plan.bundles for code in row.includes])
        self._lengths = tuple(sorted({len(key) for key in self._rows if key.endswith("*")}, reverse=True))
        self._bundled = tuple(sorted({len(key) for key in self._including if key.endswith("*")}, reverse=True))

    def benefit(self, line: Line, age: int | None, *, in_network: bool) -> Benefit | None:
        """Return the row for a line; None where the plan has none."""
        best: tuple[Fit, Benefit] | None = None
        for code in line.codes:
            for exact, key in _keys(code, self._lengths):
                for place, row in self._rows.get(key, ()):
                    if _holds(row, line, age, in_network=in_network):
                        fit = Fit(exact, _conditions(row), -place)
                        best = max(best, (fit, row), key=lambda each: each[0]) if best else (fit, row)
            if best is not None:
                return best[1]
        return None

    def price(self, line: Line) -> Decimal | None:
        """Return the agreed price of one unit on the day, None where none is agreed."""
        best: Price | None = None
        for code in line.codes:
            for _, key in _keys(code, ()):
                for row in self._prices.get(key, ()):
                    fits = row.effective_from <= line.serviced <= row.effective_to
                    if fits and set(row.modifiers) <= set(line.modifiers):
                        best = max(best, row, key=lambda each: len(each.modifiers)) if best else row
            if best is not None:
                return best.price
        return None

    def included_in(self, line: Line, others: Sequence[Line]) -> Line | None:
        """Return the line of the same day that already pays for this one."""
        for bundle in self._bundles(line):
            if set(bundle.unless) & set(line.modifiers):
                continue
            for other in others:
                if other is not line and other.serviced == line.serviced and _any_fits(bundle.service, other.codes):
                    return other
        return None

    def _bundles(self, line: Line) -> Iterable[Bundle]:
        for code in line.codes:
            for _, key in _keys(code, self._bundled):
                yield from self._including.get(key, ())


def _indexed(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _keys(code: str, lengths: Sequence[int]) -> Iterable[tuple[int, str]]:
    """Yield what a code may be found under, the most exact first: with its system, without, and beginnings."""
    _, bar, bare = code.rpartition("|")
    yield 10_000, code
    if bar:
        yield 9_999, bare
    for length in lengths:
        yield length, f"{code[: length - 1]}*"
        if bar:
            yield length, f"{bare[: length - 1]}*"


def _holds(row: Benefit, line: Line, age: int | None, *, in_network: bool) -> bool:
    if row.network != "any" and (row.network == "in") != in_network:
        return False
    if row.modifiers and not set(row.modifiers) <= set(line.modifiers):
        return False
    if row.diagnoses and not any(_any_fits(pattern, line.diagnoses) for pattern in row.diagnoses):
        return False
    return not row.ages or (age is not None and _in_ages(row.ages, age))


def _conditions(row: Benefit) -> int:
    return len(row.modifiers) + (row.network != "any") + bool(row.ages) + bool(row.diagnoses)


def _in_ages(ages: str, age: int) -> bool:
    low, _, high = ages.partition("-")
    return int(low) <= age and (not high or age <= int(high))


def _any_fits(pattern: str, codes: Iterable[str]) -> bool:
    return any(fits(pattern, code) for code in codes)


def fits(pattern: str, code: str) -> bool:
    """Tell whether a code fits a pattern: with or without its system, `*` at the end for any that begin so."""
    bare = code.rpartition("|")[2]
    if pattern.endswith("*"):
        return code.startswith(pattern[:-1]) or bare.startswith(pattern[:-1])
    return pattern in (code, bare)


def age_on(born: date | None, day: date) -> int | None:
    """Return the age in whole years."""
    if born is None:
        return None
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
