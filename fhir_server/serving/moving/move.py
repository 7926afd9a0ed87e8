"""A move of an installation: checks before the first byte, every tenant through its door, and proof."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import msgspec

from fhir_server.app import ENGINES, definitions_of
from fhir_server.audit.verify import verify
from fhir_server.serving.moving.copying import Copying
from fhir_server.serving.moving.digests import Digest, Proved, digests_of, grown_by
from fhir_server.serving.moving.ends import End, same
from fhir_server.serving.moving.entries import indexing_of
from fhir_server.serving.moving.report import Audit, Part, Report
from fhir_server.storage.moving import Door, Installation, Kept, LogEnd, Served
from fhir_server.storage.sqlite.store import milliseconds
from fhir_server.tenancy.register import TENANTS, Register
from fhir_server.tenancy.registration import DEFAULT, Registration, read_registration

Say = Callable[[str, str, int], None]
"""Told of a stage ("copying", "comparing"), a part of it, and how much of that was done now."""


class MoveRefused(Exception):
    """A move cannot be made; the message says why. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a move is to be made.

    tenants: these alone. ahead: copy while the source is served, and leave the rest to another run.
    reread: read large objects again at both ends to compare them, and what earlier runs have compared.
    afresh: remove what an earlier run left there.
    plain: the target may keep in plain what is encrypted.
    """

    tenants: Sequence[str] = ()
    ahead: bool = False
    reread: bool = True
    plain: bool = False
    afresh: bool = False


class Move:
    """From one end to the other."""

    def __init__(self, source: End, target: End, wishes: Wishes, say: Say) -> None:
        self._ends, self._wishes, self._say = (source, target), wishes, say
        self._source: Installation = source.open()
        self._target: Installation = target.open()
        self.tenants: list[str] = []
        self._arrived: dict[str, LogEnd] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, source: End, target: End, wishes: Wishes, say: Say) -> AsyncIterator["Move"]:
        """Open both ends. Raises MoveRefused."""
        _check(source, target, wishes)
        move = cls(source, target, wishes, say)
        try:
            await move._begin()
            yield move
        except Served as error:
            raise MoveRefused(f"{error}; stop it first, or begin with --while-serving") from None
        finally:
            await move._target.close()
            await move._source.close()

    async def _begin(self) -> None:
        there = await self._source.tenants()
        unknown = [name for name in self._wishes.tenants if name not in there]
        if unknown or not there:
            raise MoveRefused(f"{self._source.label} has no tenant {', '.join(unknown) or DEFAULT}")
        self.tenants = [name for name in there if not self._wishes.tenants or name in self._wishes.tenants]
        if not self._wishes.ahead:
            await self._source.need_idle()
        others = set(await self._target.tenants()) - set(there)
        if others and not self._wishes.tenants:
            raise MoveRefused(f"{self._target.label} is not empty: it has {', '.join(sorted(others))[:200]}")

    async def sizes(self) -> dict[str, dict[str, int]]:
        """Return how much there is to move of each tenant."""
        found = {}
        for tenant in self.tenants:
            kept = await self._source.kept(tenant)
            try:
                end = await kept.end()
                audit = end.audited - end.first_audited + 1 if end.audited else 0
                found[tenant] = {"versions": await kept.count(), "audit": audit, "rest": await kept.others()}
            finally:
                await kept.close()
        return found

    async def run(self, beside: Callable[[Installation], Awaitable[None]] | None = None) -> Report:
        """Copy, compare, and let servers open the result; where something differs, it stays closed to them.

        Args:
            beside: brings what lies beside the stores of the source, before any server may open them.

        Raises:
            MoveRefused: the target holds something else, or the source was written to meanwhile.
        """
        await self._target.claim()
        await self._check_target()
        parts: list[Part] = []
        audits: list[Audit] = []
        for tenant in self._under_way():
            async with self._both(tenant) as (kept, door):
                end = await self._copied(tenant, kept, door)
                parts += await self._grown(tenant, kept, door, end)
                if not self._wishes.ahead:
                    parts += await self._compared(tenant, kept, door, end)
                    audits.append(await _proved(tenant, kept, door))
        report = Report(self._source.label, self._target.label, not self._wishes.ahead, tuple(parts), tuple(audits))
        if report.finished and report.same:
            if beside is not None:
                await beside(self._source)
            await self._finish()
        return report

    @asynccontextmanager
    async def _both(self, tenant: str) -> AsyncIterator[tuple[Kept, Door]]:
        async with AsyncExitStack() as stack:
            kept = await self._source.kept(tenant)
            stack.push_async_callback(kept.close)
            door = await self._target.door(tenant)
            stack.push_async_callback(door.close)
            yield kept, door

    def _under_way(self) -> list[str]:
        return [tenant for tenant in self.tenants if tenant not in self._arrived]

    async def _check_target(self) -> None:
        """See that what is there already is of this move, before anything is written."""
        whole, removed = set[str](), set[str]()
        for tenant in sorted(set(await self._target.tenants()) & set(self.tenants)):
            async with self._both(tenant) as (kept, door):
                mark, empty = _read_mark(await door.mark()), await door.empty()
                mine = bool(mark) and mark["source"] == await kept.identity()
            if mark and self._wishes.afresh:
                await self._target.remove(tenant)
                removed.add(tenant)
            elif mark and not mine:
                told = f"{self._target.label}: tenant {tenant!r} is a half-done move of {mark['label']}"
                raise MoveRefused(f"{told}; finish that one, or remove it with --afresh")
            elif not mark and not empty:
                whole.add(tenant)
            self._arrived |= msgspec.convert(mark.get("arrived", {}), dict[str, LogEnd])
        await self._check_arrived(whole, removed)

    async def _check_arrived(self, whole: set[str], removed: set[str]) -> None:
        """See that those without a mark are what an earlier run had finished with when it was killed."""
        self._arrived = {name: end for name, end in self._arrived.items() if name in whole}
        if foreign := sorted(whole - set(self._arrived)):
            told = "is no half-done move: it is of another origin, or its move was finished and it may be served"
            raise MoveRefused(f"{self._target.label}: tenant {foreign[0]!r} is there and {told}")
        if DEFAULT in removed:  # it was closed, so nobody served the others
            for tenant in self._arrived:
                await self._target.remove(tenant)
            self._arrived = {}
        for tenant, end in self._arrived.items():
            if await self._end(tenant) != end:
                told = f"tenant {tenant!r} was written to after a killed run had finished with it"
                raise MoveRefused(f"{self._source.label}: {told}; begin anew with --afresh, or with an empty target")

    async def _end(self, tenant: str) -> LogEnd:
        kept = await self._source.kept(tenant)
        try:
            return await kept.end()
        finally:
            await kept.close()

    async def _copied(self, tenant: str, kept: Kept, door: Door) -> LogEnd:
        end = await kept.end()
        mark = _read_mark(await door.mark())
        if not mark:
            mark = {"source": await kept.identity(), "label": self._source.label, "known": end.pid}
            await door.put_mark(json.dumps(mark))
        indexing = await indexing_of(kept, tenant, self._ends[1].settings)
        await Copying(kept, door, indexing, int(mark["known"]), partial(self._say, "copying")).all()
        return end

    async def _grown(self, tenant: str, kept: Kept, door: Door, end: LogEnd) -> list[Part]:
        """Compare what was added since an earlier run has compared; what is the same is noted for the next."""
        mark = _read_mark(await door.mark())
        believed = self._wishes.ahead or not self._wishes.reread
        before = msgspec.convert(mark.get("proved", {}) if believed else {}, Proved)
        source, target = await asyncio.gather(
            grown_by(kept, end, partial(self._say, "comparing"), before), grown_by(door, end, _quietly, before)
        )
        if source == target:
            await door.put_mark(json.dumps({**mark, "proved": asdict(source)}))
        parts = {"versions": (source.versions, target.versions), "audit": (source.audit, target.audit)}
        return [Part(tenant, part, *ends) for part, ends in parts.items()]

    async def _compared(self, tenant: str, kept: Kept, door: Door, end: LogEnd) -> list[Part]:
        await door.seal(end)
        if await kept.end() != end:
            raise MoveRefused(f"{self._source.label}: tenant {tenant!r} was written to meanwhile; run the move again")
        say, reread = partial(self._say, "comparing"), self._wishes.reread
        source, target = await asyncio.gather(
            digests_of(kept, say, reread=reread), digests_of(door, _quietly, reread=reread)
        )
        numbers = Part(tenant, "number", Digest(await kept.count(), ""), Digest(await door.count(), ""))
        parts = [Part(tenant, part, source[part], target[part]) for part in source]
        return [numbers, *parts, Part(tenant, "end", _end(end), _end(await door.end()))]

    async def _finish(self) -> None:
        """Let servers open what arrived, the default tenant last: without it nobody serves the others.

        All marks say first which tenants have arrived, so that a run that is killed between two of them can be told.
        """
        if self._wishes.tenants and DEFAULT not in self._wishes.tenants:
            await self._register()
        last = sorted(self._under_way(), key=lambda name: name == DEFAULT)
        arrived = {tenant: asdict(await self._end(tenant)) for tenant in self.tenants}
        for tenant in last:
            async with self._door(tenant) as door:
                await door.put_mark(json.dumps({**_read_mark(await door.mark()), "arrived": arrived}))
        for tenant in last:
            async with self._door(tenant) as door:
                await door.put_mark("")

    @asynccontextmanager
    async def _door(self, tenant: str) -> AsyncIterator[Door]:
        door = await self._target.door(tenant)
        try:
            yield door
        finally:
            await door.close()

    async def _register(self) -> None:
        """Have the target know the tenants that came alone, as the source knew them."""
        known = await self._registered()
        settings = self._ends[1].settings
        provider = ENGINES[settings.storage](settings, milliseconds, definitions_of(settings))
        register = Register(settings, partial(provider.create, DEFAULT))
        try:
            for registration in known:
                if await register.find(registration.name) is None:
                    await register.add(replace(registration, serial=0))
        finally:
            await provider.close()

    async def _registered(self) -> list[Registration]:
        kept = await self._source.kept(DEFAULT)
        try:
            found = [await kept.records.get(TENANTS.name, name) for name in self.tenants]
        except KeyError:
            return []
        finally:
            await kept.close()
        return [read_registration(record.value) for record in found if record is not None]


def _check(source: End, target: End, wishes: Wishes) -> None:
    """Refuse what cannot go, before anything is opened."""
    if same(source, target):
        raise MoveRefused("both ends are the same place")
    if source.encrypted and not target.encrypted and not wishes.plain:
        raise MoveRefused(
            "the source is encrypted by the server and the target would not be: the keys of patients, by which erasing "
            "one reaches into backups, cannot go there. Encrypt the target by other means (MongoDB's encryption at "
            "rest, its volumes) and say --to-plain"
        )


async def _proved(tenant: str, kept: Kept, door: Door) -> Audit:
    """Verify the audit that arrived as the server does; what was wrong with it before is no fault of the move."""
    found = await verify(door)
    before = (await verify(kept)).problems if found.problems else []
    return Audit(tenant, found.heads, found.covered, tuple(found.problems), found.problems == before)


def _quietly(part: str, done: int) -> None:
    """Say nothing of the other end, which goes on beside."""


def _read_mark(text: str) -> dict[str, Any]:
    mark: dict[str, Any] = json.loads(text) if text else {}
    return mark


def _end(end: LogEnd) -> Digest:
    return Digest(end.txid, f"pid {end.pid}, time {end.time}, audit {end.first_audited}-{end.audited}")
