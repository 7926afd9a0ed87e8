"""What all patients of a tenant said, sorted once for every caller: who denies everything, and who has exceptions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_server.auth.consent import Directive
from fhir_server.search.query import IdSet

Period = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Patients whose Consents say the same, exceptions and all."""

    patients: IdSet
    directives: tuple[Directive, ...]


class Said:
    """The Consents that hold at one instant.

    out: patients who denied everything. known: those who said anything. partly: those with exceptions, in groups, so
    that a form that thousands have signed is looked at once.
    """

    def __init__(self, directives: Iterable[Directive], now: int) -> None:
        found: dict[str, list[Directive]] = {}
        for directive in directives:
            if within(directive.period, now):
                found.setdefault(directive.patient, []).append(directive)
        self.by_patient: Mapping[str, Sequence[Directive]] = found
        self.known = IdSet(frozenset(found))
        self.out = IdSet(frozenset(patient for patient, said in found.items() if _denies_all(said)))
        self.partly = _groups(found)

    def of(self, patient: str) -> Sequence[Directive]:
        """Return the Consents of one patient."""
        return self.by_patient.get(patient, ())


def within(period: Period, now: int) -> bool:
    """Tell whether an instant lies within a period, half open."""
    start, end = period
    return (start is None or start <= now) and (end is None or now < end)


def _denies_all(said: Sequence[Directive]) -> bool:
    return not any(d.exceptions for d in said) and not all(d.permit for d in said)


def _groups(found: Mapping[str, Sequence[Directive]]) -> tuple[Group, ...]:
    alike: dict[tuple[Directive, ...], list[str]] = {}
    for patient in sorted(found):
        if any(d.exceptions for d in found[patient]):
            form = tuple(replace(d, id="", patient="", fault="", period=(None, None)) for d in found[patient])
            alike.setdefault(form, []).append(patient)
    return tuple(Group(IdSet(frozenset(patients)), form) for form, patients in alike.items())
