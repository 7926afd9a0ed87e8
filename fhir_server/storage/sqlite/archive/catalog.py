"""What an archive holds of a tenant: lineages, base backups, segments, and which of them lead to an instant.

`ARCHIVE/tenants/NAME/LINEAGE/bases/NUMBER/` is a backup that holds all entries up to NUMBER, `.../segments/` what came
after, `.../keys/` each state of `keys.json`; `ARCHIVE/tenants/NAME/blobs/` the large objects of all lineages.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final

from fhir_server.model.version import instant
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.segments import Segment, listed
from fhir_server.storage.sqlite.backup import MANIFEST, Manifest, parse_manifest

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

    spot: Spot
    facts: Facts

    def manifest(self) -> Manifest:
        """Return what the backup says of itself. Raises BackupRefused, OSError."""
        spot = self.spot / MANIFEST
        try:
            return parse_manifest(spot.get(), str(self.spot))
        except FileNotFoundError as error:
            raise BackupRefused(f"{self.spot} holds no complete backup: {error}") from None


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

    lineage: Spot
    base: Base
    segments: tuple[Segment, ...]


def lineages(tenant: Spot) -> list[Spot]:
    """Return a tenant's lineages, oldest first. Raises OSError."""
    return [tenant / name for name in sorted(tenant.folders()) if fnmatchcase(name, "2*-*")]


def bases(lineage: Spot) -> list[Base]:
    """Return the complete base backups of a lineage, oldest first. Raises BackupRefused, OSError."""
    found = [Base(spot, _facts(spot / BASE)) for spot in complete(lineage)]
    return sorted(found, key=lambda base: base.facts.number)


def complete(lineage: Spot) -> Iterator[Spot]:
    """Yield where the complete base backups of a lineage are. Raises OSError."""
    for each in (lineage / "bases").found():
        if fnmatchcase(each.name, f"[0-9]*/{BASE}"):
            yield lineage / "bases" / each.name.rpartition("/")[0]


def facts_of(facts: Facts) -> bytes:
    """Return the file that says what a base is."""
    return json.dumps(asdict(facts)).encode()


def plan(tenant: Spot, until: Until = NEWEST) -> Plan:
    """Return what leads to an instant: of the newest lineage that has a base from before it, the newest such base.

    A lineage that was begun after the instant, by a restore of something older, does not hide what there was then.

    Raises:
        BackupRefused: there is none, or segments are missing.
        OSError: the archive cannot be read.
    """
    found = [(lineage, base) for lineage in reversed(lineages(tenant)) for base in _fitting(lineage, until)[-1:]]
    if found:
        lineage, base = found[0]
        return _fuller(found[1:], until, base) or Plan(lineage, base, following(lineage, base, until))
    oldest = [base.facts for lineage in lineages(tenant) for base in bases(lineage)][:1]
    reach = f"the oldest that can be restored is of {instant(oldest[0].as_of)}, txid {oldest[0].txid}" if oldest else (
        "it holds no complete base backup")  # fmt: skip
    raise BackupRefused(f"{tenant} does not lead to that: {reach}")


def _fitting(lineage: Spot, until: Until) -> list[Base]:
    return [base for base in bases(lineage) if until.holds(base.facts)]


def _fuller(older: Sequence[tuple[Spot, Base]], until: Until, base: Base) -> Plan | None:
    """Return the way of the lineage that was written at an instant, if it has commits that the base of one begun later
    has not."""
    if until.time is None or begun(base.spot.parent.parent) <= until.time:
        return None
    lineage, first = next((each for each in older if begun(each[0]) <= until.time), (None, base))
    if lineage is None:
        return None
    try:
        segments = following(lineage, first, until)
        entries = segments[-1].read()[1] if segments else []
    except BackupRefused:  # nobody can tell, and the later one is whole
        return None
    reached = [first.facts.txid, *(segment.head().txid for segment in segments[:-1])]
    reached += [entry.txid for entry in entries if entry.time <= until.time]
    return Plan(lineage, first, segments) if max(reached) > base.facts.txid else None


def begun(lineage: Spot) -> int:
    """Return when a lineage was begun, by its name, in milliseconds."""
    text = lineage.name.partition("-")[0]
    second = datetime.strptime(text[:-3], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return int(second.timestamp()) * 1000 + int(text[-3:])


def following(lineage: Spot, base: Base, until: Until = NEWEST) -> tuple[Segment, ...]:
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
                f"{segment.spot.name}: restore to {_reached(found, base)} or before"
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


def _facts(spot: Spot) -> Facts:
    try:
        return Facts(**json.loads(spot.get()))
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise BackupRefused(f"{spot} cannot be read: {error!r}") from None
