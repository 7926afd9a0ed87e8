"""The work of one export: step by step, each file noted when it is whole, so that another process can go on.

The instant is pinned: all types are read as they were at one commit, so `transactionTime` holds for all of them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from fhir_bulk.asked import PARQUET
from fhir_bulk.exports import Export, Place
from fhir_bulk.files import Files, Ndjson, Writer
from fhir_bulk.members import Members
from fhir_bulk.plan import Population, Step, steps_of
from fhir_bulk.reading import Block, Reader, References
from fhir_bulk.records import File, Section, save
from fhir_server.plugin_api import (
    Gone,
    Issue,
    PluginContext,
    RecordChanged,
    ResourceKey,
    Snapshot,
    outcome,
)

_ROUNDS = 6
_HOLD = 3_600
"""Seconds for which the instant stays readable after the last file; half of them pass before that is said again."""


class Work:
    """One export at work."""

    def __init__(self, ctx: PluginContext, export: Export) -> None:
        self._ctx, self._export = ctx, export
        self._steps: list[Step] = []
        self._held = 0

    async def run(self) -> None:
        """Do it, or what is left of it.

        Raises:
            Gone: it was cancelled, or another process goes on with it.
        """
        try:
            try:
                await self._run()
            except Gone:
                if self._export.txid == 0:
                    raise
                await self._again()  # the instant is older than what the index still knows
        except RecordChanged:
            raise Gone(f"the export {self._export.id} was cancelled") from None

    async def _again(self) -> None:
        """Begin anew, at a new instant."""
        blobs = tuple(file.blob for file in self._export.files)
        fresh = replace(self._export, txid=0, instant=0, place=Place(), files=(), refs=None, written=0)
        self._export = await save(self._ctx, fresh, release=blobs)
        await self._run()

    async def _run(self) -> None:
        if self._export.txid == 0:
            latest = await Snapshot.latest(self._ctx.core)
            await self._save(replace(self._export, txid=latest.txid or -1, instant=latest.instant))
        snapshot = self._snapshot = Snapshot(self._ctx.core, max(self._export.txid, 0), self._export.instant)
        await self._hold()
        people = await self._population(snapshot)
        self._steps = steps_of(snapshot, self._export.asked, people)
        await self._resume()
        reader = Reader(snapshot, self._export.asked, self._ctx.settings.page, self._references(snapshot))
        self._total = sum(people.totals.get(step.type, 0) for step in self._steps)
        await self._all_steps(reader, sorted(people.totals))
        await self._shared(reader, snapshot)
        await self._deleted(reader)
        await self._errors()
        keep = self._ctx.now() + self._ctx.settings.keep * 1_000
        await self._save(replace(self._export, state="done", expires=keep, refs=None))
        await snapshot.hold(hold_name(self._export.id), 0)

    async def _hold(self) -> None:
        """Keep the instant readable while the work goes on."""
        if self._ctx.now() > self._held - _HOLD * 500:
            self._held = self._ctx.now() + _HOLD * 1_000
            await self._snapshot.hold(hold_name(self._export.id), _HOLD)

    async def _population(self, snapshot: Snapshot) -> Population:
        asked = self._export.asked
        totals = await snapshot.count(self._ctx.core.definitions.resource_types)
        patients = asked.patients
        if asked.level == "group" and patients is None:
            members = Members(snapshot, self._ctx.base)
            patients = tuple(await members.of(asked.group))
            notes = tuple(dict.fromkeys((*self._export.notes, *members.notes)))
            self._export = replace(self._export, notes=notes)
        return Population(patients, totals, self._ctx.settings.page, self._ctx.settings.patients_at_once)

    async def _resume(self) -> None:
        """Let go of files that belong to what has to be done again."""
        place = self._export.place
        kept = tuple(f for f in self._export.files if f.step < place.step or (f.step == place.step and place.after))
        gone = tuple(file.blob for file in self._export.files if file not in kept)
        if gone:
            self._export = await save(self._ctx, replace(self._export, files=kept), release=gone)

    def _references(self, snapshot: Snapshot) -> References:
        asked, types = self._export.asked, self._ctx.core.definitions.resource_types
        shared = [type_ for type_ in types if not snapshot.links_patients(type_) and snapshot.may(type_)]
        wanted = asked.level != "system" and (not asked.types or any(type_ in shared for type_ in asked.types))
        known = [ResourceKey(type_, id_) for type_, ids in (self._export.refs or {}).items() for id_ in ids]
        self._found = References(shared if wanted and not asked.by_patient else (), self._ctx.base, known)
        return self._found

    async def _all_steps(self, reader: Reader, types: Sequence[str]) -> None:
        asked = self._export.asked
        for number, step in enumerate(self._steps):
            place = self._export.place
            if number < place.step:
                continue
            if step.type:
                blocks = reader.step(step, place)
            else:
                blocks = reader.by_patient(step, asked.types or types)
            await self._write(number, step.type, "output", blocks)
            await self._checkpoint(Place(number + 1))

    async def _shared(self, reader: Reader, snapshot: Snapshot) -> None:
        """Write what the records point at, and what that points at."""
        number, done, asked = len(self._steps), set[ResourceKey](), self._export.asked
        for _ in range(_ROUNDS):
            todo = self._found.found - done
            if not todo:
                return
            done |= todo
            for type_ in sorted({key.type for key in todo}):
                blocks = _alone(reader.shared(key for key in todo if key.type == type_))
                if asked.types and type_ not in asked.types:
                    async for _block in blocks:
                        pass
                else:
                    await self._write(number, type_, "output", blocks)

    async def _deleted(self, reader: Reader) -> None:
        if self._export.asked.since is None or self._export.asked.by_patient:
            return
        for step in self._steps:
            if step.written and not step.parts[0].pointing:
                for part in step.parts:
                    await self._write(len(self._steps), "Bundle", "deleted", reader.deleted(step.type, part))

    async def _errors(self) -> None:
        lines = b"".join(outcome([Issue(text, "not-supported", "warning")]) + b"\n" for text in self._export.notes)

        async def blocks() -> AsyncIterator[Block]:
            if lines:
                yield Block(lines, len(self._export.notes))

        await self._write(len(self._steps), "OperationOutcome", "error", blocks())

    async def _write(self, number: int, type_: str, section: Section, blocks: AsyncIterator[Block]) -> None:
        """Write blocks as files, each noted with how far it came."""
        settings = self._ctx.settings
        files = Files(self._ctx.store, self._writer(section), (settings.file_resources, settings.file_bytes))
        async for ref, written in files.of(type_, self._counted(blocks)):
            name = f"{len(self._export.files) + 1}.{type_ or self._export.asked.level}.{self._suffix(section)}"
            file = File(section, type_, name, ref.id, ref.size, written.count, number)
            export = replace(self._export, files=(*self._export.files, file))
            place = Place(number, 0, written.after) if number < len(self._steps) else export.place
            await self._save(replace(export, place=place), ref.id)

    def _writer(self, section: Section) -> Callable[[str], Writer]:
        if self._export.asked.format != PARQUET or section != "output":
            return lambda type_: Ndjson()
        from fhir_bulk.parquet import Parquet  # pyarrow is heavy, and optional

        return lambda type_: Parquet(type_, self._ctx.core.definitions)

    def _suffix(self, section: Section) -> str:
        return "parquet" if self._export.asked.format == PARQUET and section == "output" else "ndjson"

    async def _counted(self, blocks: AsyncIterator[Block]) -> AsyncIterator[Block]:
        async for block in blocks:
            await self._hold()
            self._export = replace(self._export, written=self._export.written + block.count)
            self._ctx.progress(self._export.written, max(self._total, self._export.written))
            yield block

    async def _checkpoint(self, place: Place) -> None:
        await self._save(replace(self._export, place=place))

    async def _save(self, export: Export, attach: str = "") -> None:
        refs: dict[str, list[str]] = {}
        if export.state == "open" and self._steps:
            for key in sorted(self._found.found):
                refs.setdefault(key.type, []).append(key.id)
        self._export = await save(self._ctx, replace(export, refs=refs), attach)


def hold_name(id_: str) -> str:
    """Return the name under which an export holds its instant."""
    return f"fhir_bulk.{id_}"


async def _alone(pairs: AsyncIterator[tuple[str, Block]]) -> AsyncIterator[Block]:
    async for _, block in pairs:
        if block.count:
            yield block
