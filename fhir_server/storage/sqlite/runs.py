"""Long work on a record, cut into short turns of the writer: sweep, purge, reindex."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.sqlite import enveloping, erase, revival, shredding, upkeep
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.holds import oldest_held
from fhir_server.storage.sqlite.rebuilding import Rebuild
from fhir_server.storage.sqlite.sealer import Sealer
from fhir_server.storage.sqlite.text import TextIndex
from fhir_server.storage.sqlite.writer import Writer

_KEYS: Final = 100  # resources in one transaction of purge_history

Progress = Callable[[int, int], None]


def unseen(done: int, of: int) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the record and must forget with it."""

    files: BlobFiles
    text: TextIndex
    bodies: Bodies


class Runs:
    """The long work of one store; `read` executes a function on a read connection, on a thread."""

    def __init__(
        self, writer: Writer, read: Callable[..., Awaitable[Any]], clock: Callable[[], int], beside: Beside
    ) -> None:
        self._writer, self._read, self._clock, self._beside = writer, read, clock, beside

    async def sweep(self, settings: Settings) -> int:
        """Delete what page links can no longer ask for and blobs that were never attached; return of how many
        versions. What was current at an instant that is held stays."""
        limit = self._clock() - settings.link_life * 1000
        txid: int = await self._read(lambda connection: upkeep.sweepable(connection, limit))
        held: int | None = await self._read(lambda connection: oldest_held(connection, self._clock()))
        txid = txid if held is None else min(txid, held)
        await self._writer.submit(lambda connection: upkeep.begin_sweep(connection, txid))
        done = 0
        while count := await self._writer.submit(upkeep.sweep_slice):
            done += count
        await self._writer.submit(lambda connection: upkeep.sweep_blobs(connection, self._beside.files))
        await self.destroy_doomed(settings.patient_keys_copy)
        return done

    async def purge(self, key: ResourceKey, *, history_only: bool) -> int:
        """Erase versions and the bytes that they leave in the log file."""
        done = 0
        while pids := await self._writer.submit(
            lambda connection: erase.purge(connection, key, history_only=history_only, most=upkeep.SLICE)
        ):
            await asyncio.to_thread(self._beside.text.forget, pids)
            done += len(pids)
        if done:
            await self._writer.checkpoint()
        return done

    async def purge_history(self, keys: Sequence[ResourceKey]) -> int:
        """Erase the superseded versions of many resources, and the bytes that they leave in the log file."""
        gone: list[int] = []
        for start in range(0, len(keys), _KEYS):
            some = keys[start : start + _KEYS]
            task = partial(erase.purge_histories, keys=some, most=upkeep.SLICE)
            while pids := await self._writer.submit(task):
                gone += pids
        if gone:
            await asyncio.to_thread(self._beside.text.forget, gone)
            await self._writer.checkpoint()
        return len(gone)

    async def reindex(
        self, types: Sequence[str], extract: Callable[[str, bytes], IndexEntries], progress: Progress
    ) -> int:
        """Make the index rows of current versions what they have to be; a run that was stopped goes on where it came
        to. What comes next is read while this is written."""
        pid, done = await self._read(lambda connection: upkeep.reindex_start(connection, types))
        total: int = await self._read(lambda connection: upkeep.reindex_total(connection, types))
        read = partial(upkeep.reindex_read, types=types, extract=extract, most=upkeep.SLICE)
        ahead = asyncio.ensure_future(self._read(partial(read, after=pid)))
        try:
            while made := await ahead:
                pid, done = made[-1][0], done + len(made)
                ahead = asyncio.ensure_future(self._read(partial(read, after=pid)))
                marker = upkeep.reindex_marker(types, pid, done)
                write = partial(upkeep.reindex_write, interning=self._writer.interning, made=made, marker=marker)
                await self._writer.submit(write)
                progress(done, max(done, total))
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        await self._writer.submit(upkeep.reindex_end)
        return int(done)

    async def shred(self, patient: str, copy: Path | None) -> bool:
        """Destroy the key of a patient; tell whether there was one."""
        bodies, files = self._beside.bodies, self._beside.files
        number = await self._read(lambda connection: shredding.number_of(connection, patient))
        if number is not None:
            pids, last = await self._read(lambda connection: shredding.under(connection, number))
            for at in range(0, len(pids), shredding.SLICE):
                some = pids[at : at + shredding.SLICE]
                await self._writer.submit(partial(shredding.reseal, bodies=bodies, pids=some))
            doom = partial(shredding.doom, bodies=bodies, files=files, patient=patient, number=number, after=last)
            await self._writer.submit(doom)
        return await self.destroy_doomed(copy) > 0

    async def destroy_doomed(self, copy: Path | None) -> int:
        """Destroy keys, also those that a crash left doomed; return how many."""
        if not await self._read(shredding.doomed):
            return 0
        count: int = await self._writer.submit(partial(shredding.destroy, bodies=self._beside.bodies, copy=copy))
        return count

    async def envelop(self, sealer: Sealer, extract: Callable[[str, bytes], IndexEntries]) -> int:
        """Seal bodies that have no envelope yet; return how many were."""
        done, last = 0, 0
        while last >= 0:
            some: enveloping.Some = await self._read(enveloping.read)
            versions, found = some
            if found is None:
                break
            last, done = found, done + len(versions)
            made = await asyncio.to_thread(_extract, extract, versions)
            write = partial(enveloping.write, sealer=sealer, versions=versions, made=made, last=last)
            await self._writer.submit(write)
        return done

    async def revive(self, extract: Callable[[str, bytes], IndexEntries], progress: Progress = unseen) -> int:
        """Make the index of a restored record, and deletions of what was erased after the backup; goes on where it
        was stopped."""
        if not await self._read(revival.lacks_index):
            return 0
        gone = await self._read(lambda connection: revival.destroyed(connection, self._beside.bodies))
        numbers = [number for _, number in gone]
        after: int | None = 0 if gone else None
        while after is not None:
            after = await self._writer.submit(partial(revival.bury, numbers=numbers, after=after))
        await self._writer.submit(lambda connection: revival.forget_keys(connection, self._beside.files, gone))
        return await Rebuild(self._writer, self._read, extract).run(progress)


def _extract(extract: Callable[[str, bytes], IndexEntries], versions: Sequence[Version]) -> list[IndexEntries]:
    return [extract(version.key.type, version.body.data) for version in versions]
