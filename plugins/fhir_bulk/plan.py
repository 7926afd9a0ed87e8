"""The plan of an export: its steps in an order that is the same each time it is made, so that work can be resumed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_bulk.asked import ASSOCIATED, Asked
from fhir_server.plugin_api import Snapshot, Wanted


@dataclass(frozen=True, slots=True)
class Step:
    """Resources of one type, in parts that may overlap.

    type: "" where files hold all that belongs to one patient after the other; then `parts` are of the patients.
    written: whether they go out; what does not is read for what it points at. latest: Provenance of which only the
    newest about something goes out.
    """

    type: str
    parts: tuple[Wanted, ...]
    written: bool = True
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Population:
    """Whose records are exported: everybody's (None), or those of some patients; totals: of all resources by type."""

    patients: tuple[str, ...] | None
    totals: Mapping[str, int]
    page: int
    at_once: int

    def parts(self, type_: str, wanted: Wanted) -> tuple[Wanted, ...]:
        """Return what is wanted in parts that each fill about a page."""
        if self.patients is None:
            return (replace(wanted, linked=True),)
        each = self.totals.get(type_, 0) // max(self.totals.get("Patient", 1), 1) + 1
        size = max(1, min(self.at_once, self.page // each))
        starts = range(0, len(self.patients), size)
        return tuple(replace(wanted, patients=self.patients[start : start + size]) for start in starts)


def steps_of(snapshot: Snapshot, asked: Asked, people: Population) -> list[Step]:
    """Return the steps; what patients share (practitioners, organizations) comes after them, as it is found."""
    types = _types(snapshot, asked, people.totals)
    if asked.by_patient:
        return [Step("", _plain(asked, people))]
    if asked.level == "system":
        steps = [Step(type_, (asked.wanted(type_),)) for type_ in types]
    else:
        steps = list(_of_patients(snapshot, asked, people, types))
    return [*(step for step in steps if step.parts), *_provenance(snapshot, asked, steps)]


def _plain(asked: Asked, people: Population) -> tuple[Wanted, ...]:
    return people.parts("Patient", asked.wanted("Patient"))


def _types(snapshot: Snapshot, asked: Asked, totals: Mapping[str, int]) -> list[str]:
    there = sorted(type_ for type_, total in totals.items() if total and type_ != "AuditEvent")
    named = [type_ for type_ in asked.types if type_ in there] if asked.types else there
    return [type_ for type_ in sorted(named) if snapshot.may(type_)]


def _of_patients(snapshot: Snapshot, asked: Asked, people: Population, types: Sequence[str]) -> Iterator[Step]:
    """Yield the types that are part of patients' records.

    Where shared types alone are asked for, the records are read for what they point at.
    """
    shared_asked = any(not snapshot.links_patients(type_) for type_ in asked.types)
    for type_ in sorted(people.totals):
        if not people.totals[type_] or not snapshot.links_patients(type_) or not snapshot.may(type_):
            continue
        written = type_ in types
        if (written or shared_asked) and type_ != "AuditEvent":
            yield Step(type_, people.parts(type_, asked.wanted(type_)), written)


def _provenance(snapshot: Snapshot, asked: Asked, steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the step of Provenance about what is exported, where it is not all exported anyway.

    Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters (includeAssociatedData)
    """
    steps = [step for step in steps if step.written]
    if not asked.associated or not snapshot.may("Provenance") or any(step.type == "Provenance" for step in steps):
        return
    parts = tuple(Wanted(pointing={step.type: part}) for step in steps for part in step.parts)
    yield Step("Provenance", parts, latest=asked.associated == ASSOCIATED[0])
