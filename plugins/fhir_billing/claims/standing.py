"""Standing: what a member has used so far, read with revisions so that of two claims at once each sees the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from fhir_billing.adjudication.facts import Authorization, Line
from fhir_billing.adjudication.results import ZERO, Result
from fhir_billing.adjudication.tallies import FAMILY
from fhir_billing.claims.records import ACCUMULATORS, AUTHORIZATIONS, CLAIMED
from fhir_billing.coverage.cover import Cover
from fhir_server.plugin_api import Collection, PluginStore, Record, RecordChange


@dataclass(slots=True)
class Sheet:
    """One record while it is worked on."""

    collection: Collection
    key: str
    value: dict[str, Any]
    revision: int
    touched: bool = False

    def change(self, patient: str) -> RecordChange:
        """Return what writes it."""
        value = {**self.value, "patient": patient}
        return RecordChange(self.collection.name, self.key, value, expected=self.revision)


@dataclass(slots=True)
class Standing:
    """What counts for one coverage: own and family tallies, what was claimed by month, prior authorizations."""

    cover: Cover
    own: Sheet
    family: Sheet | None
    months: dict[str, Sheet] = field(default_factory=dict)
    granted: dict[str, Sheet] = field(default_factory=dict)

    @property
    def used(self) -> dict[str, Decimal]:
        """All tallies."""
        found = {name: Decimal(amount) for name, amount in _tallies(self.own)}
        if self.family is not None:
            found |= {FAMILY + name: Decimal(amount) for name, amount in _tallies(self.family)}
        return found

    @property
    def seen(self) -> dict[str, str]:
        """Fingerprints of what was claimed in these months, with the claims."""
        return {print_: claim for sheet in self.months.values() for print_, claim in sheet.value["lines"].items()}

    @property
    def authorizations(self) -> dict[str, Authorization]:
        """What the prior authorizations that the claim names still allow."""
        found: dict[str, Authorization] = {}
        for number, sheet in self.granted.items():
            if sheet.value.get("coverage") == self.cover.id:
                found[number] = _authorization(sheet.value)
        return found

    def add(self, used: Mapping[str, Decimal], *, sign: int = 1) -> None:
        """Add to the tallies what a claim used, or take it back."""
        for name, amount in used.items():
            sheet = self.family if name.startswith(FAMILY) else self.own
            if sheet is None:
                continue
            bare = name.removeprefix(FAMILY)
            total = Decimal(sheet.value["used"].get(bare, "0")) + sign * amount
            sheet.value["used"][bare] = str(max(ZERO, total))
            sheet.touched = True

    def claim(self, seen: Mapping[str, str], claim: str) -> None:
        """Note lines as claimed; seen: fingerprint to month."""
        for print_, month in seen.items():
            self.months[month].value["lines"][print_] = claim
            self.months[month].touched = True

    def unclaim(self, seen: Mapping[str, str]) -> None:
        """Take lines back."""
        for print_, month in seen.items():
            if month in self.months and self.months[month].value["lines"].pop(print_, None) is not None:
                self.months[month].touched = True

    def spend(self, spent: Mapping[str, tuple[Decimal, Decimal]], *, sign: int = 1) -> None:
        """Use up prior authorizations, or give back."""
        for number, (units, amount) in spent.items():
            sheet = self.granted[number]
            sheet.value["used_units"] = str(Decimal(sheet.value.get("used_units", "0")) + sign * units)
            sheet.value["used_amount"] = str(Decimal(sheet.value.get("used_amount", "0")) + sign * amount)
            sheet.touched = True

    def changes(self) -> Iterator[RecordChange]:
        """Yield what writes all that was changed. The member's own record is always among it when anything is."""
        sheets = [self.own, *([self.family] if self.family else []), *self.months.values(), *self.granted.values()]
        touched = [each for each in sheets if each.touched]
        return (each.change("" if each is self.family else self.cover.patient) for each in touched)


async def read(store: PluginStore, cover: Cover, months: Iterable[str], numbers: Iterable[str]) -> Standing:
    """Read what counts for a coverage, for months of service and the prior authorizations that are named."""
    family = cover.family
    return Standing(
        cover,
        await _sheet(store, ACCUMULATORS, f"{cover.id}|{cover.plan}", "used"),
        await _sheet(store, ACCUMULATORS, f"family|{family}", "used") if family else None,
        {month: await _sheet(store, CLAIMED, f"{cover.id}|{month}", "lines") for month in sorted(set(months))},
        {number: await _sheet(store, AUTHORIZATIONS, number, "codes") for number in sorted(set(numbers)) if number},
    )


async def _sheet(store: PluginStore, collection: Collection, key: str, inner: str) -> Sheet:
    record: Record | None = await store.get(collection.name, key)
    if record is None:
        return Sheet(collection, key, {inner: {}}, 0)
    value: Any = record.value
    copied = {**value, inner: dict(value[inner]) if isinstance(value[inner], Mapping) else value[inner]}
    return Sheet(collection, key, copied, record.revision)


def _tallies(sheet: Sheet) -> Iterator[tuple[str, str]]:
    return iter(sheet.value["used"].items())


def _authorization(value: Mapping[str, Any]) -> Authorization:
    return Authorization(
        tuple(value["codes"]),
        date.fromisoformat(value["start"]),
        date.fromisoformat(value["end"]),
        _left(value, "units"),
        _left(value, "amount"),
    )


def _left(value: Mapping[str, Any], name: str) -> Decimal | None:
    if value.get(name) is None:
        return None
    return max(ZERO, Decimal(value[name]) - Decimal(value.get(f"used_{name}", "0")))


def month_of(day: date) -> str:
    """Return the month of a day, `2026-03`."""
    return day.isoformat()[:7]


def seen_of(result: Result, lines: Iterable[Line], prints: Mapping[int, str]) -> dict[str, str]:
    """Return the fingerprints that a result notes, each with its month; prints: by line."""
    months: defaultdict[str, str] = defaultdict(str)
    for line in lines:
        months[prints[line.sequence]] = month_of(line.serviced)
    return {print_: months[print_] for print_ in result.seen}
