"""Reads what a plan wants as blocks of NDJSON lines: bytes are copied as they are stored."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace

from fhir_bulk.asked import Asked
from fhir_bulk.exports import Place
from fhir_bulk.plan import Step
from fhir_server.plugin_api import ResourceKey, Snapshot, Version, Wanted, decode, encode

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines, how many, and where to go on behind them (None: not from here)."""

    lines: bytes
    count: int
    after: int | None = None


class Seen:
    """Which rows went out already, a bit for each: parts of a step may hold the same resource."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def fresh(self, versions: Iterable[Version]) -> list[Version]:
        """Return those that were not asked about before."""
        return [version for version in versions if self._is_new(version.pid)]

    def _is_new(self, pid: int) -> bool:
        at, bit = pid >> 3, 1 << (pid & 7)
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 65_536 - len(self._bits)))
        if self._bits[at] & bit:
            return False
        self._bits[at] |= bit
        return True


class References:
    """What resources point at that is no part of a patient's record, found in their bytes.

    Args:
        types: those that are followed. base: the URL below which absolute references are to this server.
    """

    def __init__(self, types: Sequence[str], base: str, known: Iterable[ResourceKey] = ()) -> None:
        names = "|".join(sorted(map(re.escape, types)))
        pattern = rf'"reference":"(?:{re.escape(base)}/)?({names})/([A-Za-z0-9\-.]{{1,64}})["/]'
        self._pattern = re.compile(pattern.encode())
        self._active = bool(types)
        self.found: set[ResourceKey] = set(known)

    def look(self, lines: bytes) -> None:
        """Take in what some lines point at."""
        if self._active:
            for type_, id_ in set(self._pattern.findall(lines)):
                self.found.add(ResourceKey(type_.decode(), id_.decode()))


class Reader:
    """Reads one export.

    Args:
        page: resources read at once. references: takes in all that is read.
    """

    def __init__(self, snapshot: Snapshot, asked: Asked, page: int, references: References) -> None:
        self._snapshot, self._asked, self._page, self._references = snapshot, asked, page, references

    async def step(self, step: Step, place: Place) -> AsyncIterator[Block]:
        """Yield the blocks of a step, from a place on."""
        seen = Seen() if len(step.parts) > 1 else None
        for part in step.parts:
            async for versions, after in self._rows(step.type, part, place.after):
                rows = versions if seen is None else seen.fresh(versions)
                if step.latest:
                    rows = await self._latest(rows)
                block = Block(await self.lines(step.type, rows), len(rows), None if seen else after)
                self._references.look(block.lines)
                if step.written and rows:
                    yield block

    async def _rows(
        self, type_: str, wanted: Wanted, after: int | None = None
    ) -> AsyncIterator[tuple[Sequence[Version], int | None]]:
        while True:
            rows = await self._snapshot.page(type_, wanted, after, self._page)
            after = rows.next
            yield rows.versions, rows.versions[-1].pid if rows.versions else None
            if after is None:
                return

    async def lines(self, type_: str, versions: Sequence[Version]) -> bytes:
        """Return versions as NDJSON, with the elements that were asked for."""
        kept = self._asked.kept_of(type_)
        if kept:
            cut = await asyncio.to_thread(lambda: [self._snapshot.cut(version, kept) for version in versions])
            return b"".join([line + b"\n" for line in cut])
        return b"".join([version.stamped() + b"\n" for version in versions])

    async def shared(self, keys: Iterable[ResourceKey]) -> AsyncIterator[tuple[str, Block]]:
        """Yield resources of other types than those of patients, by type."""
        by_type: dict[str, list[str]] = {}
        for key in sorted(keys):
            by_type.setdefault(key.type, []).append(key.id)
        for type_, ids in by_type.items():
            for start in range(0, len(ids), _AT_ONCE):
                wanted = replace(self._asked.wanted(type_), ids=tuple(ids[start : start + _AT_ONCE]))
                rows = await self._snapshot.page(type_, wanted, count=_AT_ONCE)
                lines = await self.lines(type_, rows.versions)
                self._references.look(lines)
                yield type_, Block(lines, len(rows.versions))

    async def by_patient(self, step: Step, types: Sequence[str]) -> AsyncIterator[Block]:
        """Yield one block for each patient: a header that names them, the patient, and their record.

        Spec: https://build.fhir.org/ig/HL7/bulk-data/export.html#bulk-data-output-file-organization
        """
        for part in step.parts:
            async for versions, _ in self._rows("Patient", replace(part, linked=False)):
                for patient in versions:
                    yield await self._of_one(patient, types)

    async def _of_one(self, patient: Version, types: Sequence[str]) -> Block:
        reference = {"name": "header", "valueReference": {"reference": str(patient.key)}}
        found = [encode({"resourceType": "Parameters", "parameter": [reference]}) + b"\n"]
        count = 1
        if "Patient" in types:
            found.append(await self.lines("Patient", [patient]))
            count += 1
        for type_ in types:
            if type_ != "Patient" and self._snapshot.links_patients(type_):
                wanted = replace(self._asked.wanted(type_), patients=(patient.key.id,))
                async for versions, _ in self._rows(type_, wanted):
                    found.append(await self.lines(type_, versions))
                    count += len(versions)
        return Block(b"".join(found), count)

    async def deleted(self, type_: str, wanted: Wanted) -> AsyncIterator[Block]:
        """Yield Bundles that name what was deleted, a hundred in each.

        Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status (deleted)
        """
        entries: list[dict[str, object]] = []
        async for key in self._snapshot.deleted(type_, wanted):
            entries.append({"request": {"method": "DELETE", "url": str(key)}})
            if len(entries) == 100:
                yield _bundle(entries)
                entries = []
        if entries:
            yield _bundle(entries)

    async def _latest(self, versions: Sequence[Version]) -> list[Version]:
        """Return those Provenances that are the newest about something."""
        about = {version.pid: _targets(version) for version in versions}
        targets = sorted({key for keys in about.values() for key in keys})
        newest: dict[ResourceKey, tuple[str, int]] = {}
        for start in range(0, len(targets), _AT_ONCE):
            wanted = Wanted(refers=("target", tuple(targets[start : start + _AT_ONCE])))
            async for rows, _ in self._rows("Provenance", wanted):
                for row in rows:
                    for key in _targets(row):
                        newest[key] = max(newest.get(key, ("", 0)), (_recorded(row), row.pid))
        return [v for v in versions if any(newest.get(key, ("", v.pid))[1] == v.pid for key in about[v.pid])]


def _bundle(entries: Sequence[dict[str, object]]) -> Block:
    return Block(encode({"resourceType": "Bundle", "type": "transaction", "entry": entries}) + b"\n", 1)


def _targets(version: Version) -> list[ResourceKey]:
    found = []
    for target in decode(version.body.data).get("target", ()):
        type_, _, id_ = str(target.get("reference", "")).partition("/")
        if id_ and "/" not in id_:
            found.append(ResourceKey(type_, id_))
    return found


def _recorded(version: Version) -> str:
    return str(decode(version.body.data).get("recorded", ""))
