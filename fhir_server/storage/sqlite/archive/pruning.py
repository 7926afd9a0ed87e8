"""What may go from an archive: all that no restore within the days to keep needs."""

from dataclasses import dataclass, fields

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.catalog import BASE, BLOBS, bases, complete, lineages
from fhir_server.storage.sqlite.archive.places.crew import each_of
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.archive.segments import Segment, listed


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many went; kept: files that the place does not let go of yet, a later round does."""

    lineages: int = 0
    bases: int = 0
    segments: int = 0
    blobs: int = 0
    kept: int = 0


def prune(tenant: Spot, before: int, *, gone: bool = False) -> Pruned:
    """Remove what only leads to instants before a time (milliseconds). The newest base backup always stays, unless the
    tenant itself is `gone`, whose archive goes once all of it is older.

    Raises:
        BackupRefused, OSError: the archive cannot be read or written.
    """
    known = lineages(tenant)
    if gone and all(_ends(lineage) < before for lineage in known):
        kept = sum(_remove_lineage(lineage) for lineage in known) + tenant.remove()
        return Pruned(lineages=len(known), kept=kept)
    old = [lineage for lineage in known[:-1] if _ends(lineage) < before]
    kept = sum(_remove_lineage(lineage) for lineage in old)
    counts = [_prune(lineage, before) for lineage in known if lineage not in old]
    blobs = (0, 0)
    if old or any(count.bases or count.segments for count in counts):
        blobs = Pool(tenant / "blobs").keep(_needed(tenant))
    each = (Pruned(len(old), blobs=blobs[0], kept=kept + blobs[1]), *counts)
    return Pruned(*(sum(getattr(part, field.name) for part in each) for field in fields(Pruned)))


def _prune(lineage: Spot, before: int) -> Pruned:
    """Keep the newest base from before the time, and what came after it."""
    found = bases(lineage)
    newest = next((base for base in reversed(found) if base.facts.as_of <= before), found[0] if found else None)
    if newest is None:
        return Pruned()
    old = [base for base in found if base.facts.number < newest.facts.number]
    kept = sum(remove_base(base.spot) for base in old) + _remove_halves(lineage)
    passed = [segment for segment in listed(lineage) if segment.last <= newest.facts.number]
    if passed:
        root = lineage / "segments"
        kept += root.remove([f"{segment.spot.parent.name}/{segment.spot.name}" for segment in passed])
    return Pruned(bases=len(old), segments=len(passed), kept=kept)


def remove_base(base: Spot) -> int:
    """Remove a base backup; return how much the place keeps still. What it one goes first: half of it
    must not look like one."""
    return base.remove([BASE]) or base.remove()


def _remove_lineage(lineage: Spot) -> int:
    return sum(remove_base(spot) for spot in list(complete(lineage))) or lineage.remove()


def _remove_halves(lineage: Spot) -> int:
    """Remove what is left of bases that were removed by half, or never were brought whole."""
    whole = {spot.name for spot in complete(lineage)}
    root = lineage / "bases"
    return sum((root / name).remove() for name in root.folders() if name not in whole)


def _needed(tenant: Spot) -> set[str]:
    needed = set[str]()
    for lineage in lineages(tenant):
        for spot in complete(lineage):
            needed.update((spot / BLOBS).get().decode().split())
        for _, head in each_of(listed(lineage), Segment.head, tenant.place.at_once):
            needed.update(head().blobs)
    return needed


def _ends(lineage: Spot) -> int:
    """Return when the newest thing in a lineage was written, in milliseconds; 0 for an empty one."""
    found = bases(lineage)
    newest = max((base.facts.made for base in found), default=0)
    segments = listed(lineage)
    try:
        return max(newest, segments[-1].head().ends) if segments else newest
    except BackupRefused:
        return max(newest, int(segments[-1].changed * 1000))
