"""Tables are made from a snapshot, and kept fresh by the change feed."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from fhir_server.plugin_api import (
    BlobChange,
    Conflict,
    Consumer,
    FeedChange,
    FhirError,
    PluginContext,
    RecordChange,
    RecordChanged,
    Scheduled,
    Snapshot,
    Version,
)
from fhir_views.sources import compiled
from fhir_views.tables.contents import GONE, Contents, Given
from fhir_views.tables.records import PARTS, Table, part, parts, put_part, tables

_log = logging.getLogger("fhir_views")
_TRIES = 8
_FLUSH = 100_000
"""Rows that are gathered before partitions are written while a table is made."""
_PER_PARTITION = 20_000
_MOST_PARTITIONS = 256
_BATCH = 1_000


class Upkeep:
    """Makes tables and applies changes to them; compiled views are kept."""

    def __init__(self) -> None:
        self._contents: dict[tuple[str, str], Contents] = {}
        self._suspicious: set[tuple[str, str]] = set()

    # --- making

    async def make(self, ctx: PluginContext, view: str) -> Table:
        """Make the table of a view anew; those that were there serve until it is ready.

        Raises:
            FhirError: the view is not there, is wrong, or the plugin may not read its resources.
            Conflict: the table of another view has its name.
        """
        definition = await ctx.own.read("ViewDefinition", view)
        checked = compiled(ctx, definition)
        size = await _size(ctx, checked.spec.resource)
        table = Table(
            key=f"{view}~{ctx.new_id()}",
            view=view,
            version=str(definition.get("meta", {}).get("versionId", "")),
            name=checked.name,
            type=checked.spec.resource,
            definition=json.dumps(definition, default=str),
            partitions=min(_MOST_PARTITIONS, size // _PER_PARTITION + 1),
        )
        before = await _before(ctx, table)
        await ctx.store.put(table.put())  # from now on the feed writes to it too
        try:
            ready = await self._filled(ctx, table)
        except BaseException:
            await self.drop(ctx, table)
            raise
        for each in before:
            await self.drop(ctx, each)
        return ready

    async def _filled(self, ctx: PluginContext, table: Table) -> Table:
        contents = self.contents(ctx, table)
        faults, fault = 0, ""
        gathered: dict[str, Given] = {}
        size = done = 0
        async for versions in self._all(ctx, table):
            made = await asyncio.to_thread(contents.made, versions)
            gathered |= made.given
            faults, fault = faults + made.faults, made.fault or fault
            size += sum(len(each.rows) for each in made.given.values())
            done += len(versions)
            ctx.progress(done)
            if size >= _FLUSH:
                await self._apply(ctx, table, gathered)
                gathered, size = {}, 0
        await self._apply(ctx, table, gathered)
        hidden = await _size(ctx, table.type) - await _live(ctx, table)
        ready = table.but(state="ready", built=ctx.now(), faults=faults, fault=fault, hidden=max(0, hidden))
        await ctx.store.put(ready.put())
        return ready

    async def _all(self, ctx: PluginContext, table: Table) -> AsyncIterator[Sequence[Version]]:
        """All resources of the type, of one instant, as the plugin itself may see them."""
        found: list[Version] = []
        async for version in ctx.own.versions(table.type, (), ctx.settings.page):
            found.append(version)
            if len(found) >= ctx.settings.page:
                yield found
                found = []
        if found:
            yield found

    def contents(self, ctx: PluginContext, table: Table) -> Contents:
        """What makes the contents of a table."""
        place = (ctx.tenant, table.key)
        found = self._contents.get(place)
        if found is None:
            found = self._contents[place] = Contents(compiled(ctx, table.compiled_from()))
        return found

    async def drop(self, ctx: PluginContext, table: Table) -> None:
        """Remove a table."""
        await ctx.store.put(table.drop())
        while found := await parts(ctx, table):
            for each in found:
                gone = RecordChange(PARTS.name, each.key, None)
                await ctx.store.keep(BlobChange(each.blob, attach=False), records=[gone])
        self._contents.pop((ctx.tenant, table.key), None)

    # --- changes

    async def changed(self, ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
        """Apply a batch of the feed to all tables that it is about."""
        found = await tables(ctx)
        if not found:
            return
        by_type: dict[str, list[Version]] = {}
        for change in changes:
            by_type.setdefault(change.key.type, []).append(change.row)
        for table in found:
            if table.type in by_type:
                await self._written(ctx, table, by_type[table.type])
            if "Consent" in by_type and not table.stale:
                await ctx.store.put(table.but(stale=True).put())
        for row in by_type.get("ViewDefinition", ()):
            await self._redefined(ctx, row, [table for table in found if table.view == row.key.id])

    async def _written(self, ctx: PluginContext, table: Table, versions: Sequence[Version]) -> None:
        """Take what the plugin may see now of the resources that were written."""
        last = {version.key: version for version in versions}
        seen = await ctx.own.versions_of([key for key, version in last.items() if not version.deleted])
        made = await asyncio.to_thread(self.contents(ctx, table).made, list(seen.values()))
        unseen = {key.id: Given(version.txid, GONE) for key, version in last.items() if key not in seen}
        await self._apply(ctx, table, {**made.given, **unseen})
        if made.faults:
            noted = table.but(faults=table.faults + made.faults, fault=made.fault)
            await ctx.store.put(noted.put())

    async def _redefined(self, ctx: PluginContext, row: Version, found: Sequence[Table]) -> None:
        if row.deleted:
            for table in found:
                await self.drop(ctx, table)
        elif found and all(table.version != str(row.version) for table in found):
            try:
                await self.make(ctx, row.key.id)
            except FhirError as error:
                _log.warning("the table of ViewDefinition/%s is not made anew: %s", row.key.id, error)

    async def _apply(self, ctx: PluginContext, table: Table, given: Mapping[str, Given]) -> None:
        spread: dict[int, dict[str, Given]] = {}
        for key, each in given.items():
            spread.setdefault(table.partition(key), {})[key] = each
        for partition, some in spread.items():
            await self._rewrite(ctx, table, partition, some)

    async def _rewrite(self, ctx: PluginContext, table: Table, partition: int, given: Mapping[str, Given]) -> None:
        """Write a partition anew. Who comes second does so over what the first one wrote."""
        contents = self.contents(ctx, table)
        for _ in range(_TRIES):
            before = await part(ctx, table, partition)
            data = b"" if before is None else await _joined(await ctx.store.open(before.blob))
            content, raw = await asyncio.to_thread(_over, contents, data, given)
            blob = await ctx.store.stage(_once(raw))
            blobs = [BlobChange(blob.id, attach=True)]
            if before is not None:
                blobs.append(BlobChange(before.blob, attach=False))
            revision = 0 if before is None else before.revision
            record = put_part(table, table.part_key(partition), revision, blob.id, contents.counts(content))
            try:
                await ctx.store.keep(*blobs, records=[record])
                return
            except RecordChanged:
                continue
        raise RuntimeError(f"partition {partition} of table {table.name} keeps changing")

    # --- making sure

    async def reconciled(self, ctx: PluginContext) -> None:
        """Make tables anew that are stale, or have another number of resources than the record, seen twice: then some
        were erased.
        """
        for table in [each for each in await tables(ctx) if each.state == "ready"]:
            place = (ctx.tenant, table.key)
            same = await _live(ctx, table) + table.hidden == await _size(ctx, table.type)
            if same and not table.stale:
                self._suspicious.discard(place)
            elif table.stale or place in self._suspicious:
                self._suspicious.discard(place)
                await self.make(ctx, table.view)
            else:
                self._suspicious.add(place)


async def _before(ctx: PluginContext, table: Table) -> list[Table]:
    """The tables of the same view. Raises Conflict: another view has a table of this name."""
    known = await tables(ctx)
    for each in known:
        if each.view != table.view and each.name.lower() == table.name.lower():
            said = f"ViewDefinition/{each.view} has a table {each.name} already: give the views different names"
            raise Conflict(said, expression="ViewDefinition.name")
    return [each for each in known if each.view == table.view]


async def _size(ctx: PluginContext, type_: str) -> int:
    """The number of current resources of a type."""
    return (await (await Snapshot.latest(ctx.core)).count([type_]))[type_]


async def _live(ctx: PluginContext, table: Table) -> int:
    """The number of resources that a table knows to be there."""
    return sum(each.live for each in await parts(ctx, table))


def _over(contents: Contents, data: bytes, given: Mapping[str, Given]) -> tuple[object, bytes]:
    content = contents.over(contents.read(data) if data else None, given)
    return content, contents.write(content)


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def consumer(upkeep: Upkeep) -> Consumer:
    """What keeps tables fresh."""
    return Consumer("tables", upkeep.changed, start="now", batch=_BATCH, timeout=600)


def reconciliation(upkeep: Upkeep, every: float) -> Scheduled:
    """What finds tables that are not what the record is."""
    return Scheduled("tables", upkeep.reconciled, every=every, each_tenant=True, timeout=3600)


def names(found: Iterable[Table]) -> str:
    """The names of tables, for messages."""
    return ", ".join(sorted({table.name for table in found})) or "none"
