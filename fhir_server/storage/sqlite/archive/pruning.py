"""What may go from an archive: all that no restore within the days to keep needs."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.catalog import BLOBS, Base, bases, lineages
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.archive.segments import Segment, listed


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many went."""

    lineages: int = 0
    bases: int = 0
    segments: int = 0
    blobs: int = 0


def prune(tenant: Path, before: int, *, gone: bool = False) -> Pruned:
    """Remove what only leads to instants before a time (milliseconds). The newest base backup always stays, unless the
    tenant itself is `gone`, whose archive goes once all of it is older.

    Raises:
        BackupRefused, OSError: the archive cannot be read or written.
    """
    known = lineages(tenant)
    if gone and all(_ends(lineage) < before for lineage in known):
        shutil.rmtree(tenant)
        return Pruned(lineages=len(known))
    old = [lineage for lineage in known[:-1] if _ends(lineage) < before]
    for lineage in old:
        shutil.rmtree(lineage)
    counts = [_prune(lineage, before) for lineage in known if lineage not in old]
    blobs = Pool(tenant / "blobs").keep(_needed(tenant)) if old or any(map(any, counts)) else 0
    return Pruned(len(old), sum(count[0] for count in counts), sum(count[1] for count in counts), blobs)


def _prune(lineage: Path, before: int) -> tuple[int, int]:
    """Keep the newest base from before the time, and what came after it."""
    found = bases(lineage)
    kept = next((base for base in reversed(found) if base.facts.as_of <= before), found[0] if found else None)
    if kept is None:
        return 0, 0
    old = [base for base in found if base.facts.number < kept.facts.number]
    for base in old:
        _remove(base)
    passed = [segment for segment in listed(lineage) if segment.last <= kept.facts.number]
    for segment in passed:
        segment.path.unlink(missing_ok=True)
    return len(old), len(passed)


def _remove(base: Base) -> None:
    """Take it away under another name first: half a base must not look like one."""
    away = base.folder.with_name(f".gone-{base.folder.name}")
    base.folder.rename(away)
    shutil.rmtree(away)


def _needed(tenant: Path) -> set[str]:
    needed = set[str]()
    for lineage in lineages(tenant):
        for base in bases(lineage):
            needed.update((base.folder / BLOBS).read_text().split())
        for segment in listed(lineage):
            needed.update(segment.head().blobs)
    return needed


def _ends(lineage: Path) -> int:
    """Return when the newest thing in a lineage was written, in milliseconds; 0 for an empty one."""
    found = bases(lineage)
    newest = max((base.facts.made for base in found), default=0)
    segments: list[Segment] = listed(lineage)
    try:
        return max(newest, segments[-1].head().ends) if segments else newest
    except BackupRefused:
        return max(newest, int(segments[-1].path.stat().st_mtime * 1000))
