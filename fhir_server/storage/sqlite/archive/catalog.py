"""What an archive holds of a tenant: lineages, base backups, segments, and which of them lead to an instant.

`ARCHIVE/tenants/NAME/LINEAGE/bases/NUMBER/` is a backup that holds all entries up to NUMBER, `.../segments/` what came
after, `.../keys/` each state of `keys.json`; `ARCHIVE/tenants/NAME/blobs/` the large objects of all lineages.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fhir_server.model.version import instant
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.segments import Segment, listed

BASE: Final = "base.json"
BLOBS: Final = "blobs.txt"


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a base backup: the entry up to which it holds all, its newest commit, the time of the newest thing in it and
    when it was made (milliseconds), how long that took (seconds), and its bytes without large objects."""

    number: int
    txid: int
    as_of: int
    made: int
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Base:
    """A complete base backup."""

    folder: Path
    facts: Facts


@dataclass(frozen=True, slots=True)
class Until:
    """Where a restore ends: at an instant (milliseconds), at a txid, or with None for both at the newest there is."""

    time: int | None = None
    txid: int | None = None

    def holds(self, facts: Facts) -> bool:
        """Tell whether a base has nothing from after it."""
        return (self.time is None or facts.as_of <= self.time) and (self.txid is None or facts.txid <= self.txid)


NEWEST: Final = Until()


@dataclass(frozen=True, slots=True)
class Plan:
    """A base and the segments that follow it, without a gap."""

    lineage: Path
    base: Base
    segments: tuple[Segment, ...]


def lineages(tenant: Path) -> list[Path]:
    """Return the folders of a tenant's lineages, oldest first."""
    return sorted(path for path in tenant.glob("2*-*") if (path / "bases").is_dir())


def bases(lineage: Path) -> list[Base]:
    """Return the complete base backups of a lineage, oldest first."""
    found = [Base(path.parent, _facts(path)) for path in (lineage / "bases").glob(f"[0-9]*/{BASE}")]
    return sorted(found, key=lambda base: base.facts.number)


def write_facts(folder: Path, facts: Facts) -> None:
    """Say what a base is."""
    (folder / BASE).write_text(json.dumps(asdict(facts)))


def plan(tenant: Path, until: Until = NEWEST) -> Plan:
    """Return what leads to an instant: of the newest lineage that has a base from before it, the newest such base.

    Raises:
        BackupRefused: there is none, or segments are missing.
    """
    for lineage in reversed(lineages(tenant)):
        fitting = [base for base in bases(lineage) if until.holds(base.facts)]
        if fitting:
            return Plan(lineage, fitting[-1], following(lineage, fitting[-1], until))
    oldest = [base.facts for lineage in lineages(tenant) for base in bases(lineage)][:1]
    reach = f"the oldest that can be restored is of {instant(oldest[0].as_of)}, txid {oldest[0].txid}" if oldest else (
        "it holds no complete base backup")  # fmt: skip
    raise BackupRefused(f"{tenant} does not lead to that: {reach}")


def following(lineage: Path, base: Base, until: Until = NEWEST) -> tuple[Segment, ...]:
    """Return the segments after a base, up to one that goes beyond the end. Raises BackupRefused for a gap."""
    found: list[Segment] = []
    number = base.facts.number
    for segment in listed(lineage):
        if segment.last <= number:
            continue
        if segment.first > number + 1:
            if found and _beyond(found[-1], until):
                break
            raise BackupRefused(
                f"{lineage / 'segments'} lacks entries {number + 1} to {segment.first - 1}, before "
                f"{segment.path.name}: restore to {_reached(found, base)} or before"
            )
        found.append(segment)
        number = segment.last
        if until != NEWEST and _beyond(segment, until):
            break
    return tuple(found)


def _beyond(segment: Segment, until: Until) -> bool:
    head = segment.head()
    return (until.time is not None and head.txid != head.before and head.ends > until.time) or (
        until.txid is not None and head.txid > until.txid
    )


def _reached(found: list[Segment], base: Base) -> str:
    return instant(found[-1].head().ends if found else base.facts.as_of)


def _facts(path: Path) -> Facts:
    try:
        return Facts(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupRefused(f"{path} cannot be read: {error!r}") from None
