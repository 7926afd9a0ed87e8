"""The index of a record that has none, or none of its newest versions: of a restored one, before it is served.

What has to be in the index is read on one thread while the writer's puts it there, in few and large transactions. Each
notes how far it came, so that whoever comes after a crash goes on there; another process that does the same meanwhile
does not do it twice.
"""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

import apsw

from fhir_server.storage.sqlite import revival, upkeep
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.gathering import GatheredRows
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.pending import Pending
from fhir_server.storage.sqlite.upkeep import Extract, Made
from fhir_server.storage.sqlite.writer import Writer

_log: Final = logging.getLogger("fhir_server.storage")

SLICE: Final = 1_000  # versions that are read at once
AHEAD: Final = 8  # slices that wait for the writer, some 4 MB each
SORTED: Final = 500_000  # rows that wait in memory to be put in order, 20 to 40 bytes each
COMMITTED: Final = 100_000  # versions in one transaction
CACHE: Final = 128_000_000  # bytes of pages, so that most are written once for each transaction
_COLLECTOR: Final = (200_000, 50, 1_000)

Progress = Callable[[int, int], None]


class _Stopped(Exception):
    """Nothing more comes to the writer. `args`: why."""


class Rebuild:
    """Makes the index of one record; `read` executes a function on a read connection, on a thread."""

    def __init__(self, writer: Writer, read: Callable[..., Awaitable[Any]], extract: Extract) -> None:
        self._writer, self._read, self._extract = writer, read, extract
        self._queue: SimpleQueue[list[Made] | _Stopped] = SimpleQueue()
        self._room = asyncio.Semaphore(AHEAD)
        self._loop = asyncio.get_running_loop()

    async def run(self, progress: Progress) -> int:
        """Make it; return of how many resources, those included that an earlier run did."""
        await self._writer.submit(_begin)
        after, done = await self._read(lambda connection: upkeep.reindex_start(connection, ()))
        total: int = await self._read(lambda connection: upkeep.reindex_total(connection, ()))
        with _less_garbage():
            reading = asyncio.create_task(self._produce(after))
            try:
                while not (batch := await self._writer.submit(self._write)).last:
                    done = batch.done
                    _log.info("the search index is made anew: %d of %d resources", done, max(done, total))
                    progress(done, max(done, total))
            except _Stopped as stopped:
                raise stopped.args[0] from None
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        progress(batch.done, max(batch.done, total))
        return int(batch.done)

    async def _produce(self, after: int) -> None:
        """Read and extract ahead of the writer. An empty slice is the end."""
        try:
            made: list[Made] = [(after, 0, "", None)]  # type: ignore[list-item]
            while made:
                await self._room.acquire()
                read = partial(upkeep.reindex_read, types=(), after=made[-1][0], extract=self._extract, most=SLICE)
                made = await self._read(read)
                self._queue.put(made)
        except BaseException as error:
            self._queue.put(_Stopped(error))
            raise

    def _take(self) -> list[Made]:
        """Wait for the next slice; on the thread of the writer."""
        made = self._queue.get()
        self._loop.call_soon_threadsafe(self._room.release)
        if isinstance(made, _Stopped):
            raise made
        return made

    def _write(self, connection: apsw.Connection) -> "Batch":
        """Write some slices, in a transaction; the last one brings the marks of a made index."""
        with _more_cache(connection):
            batch = Batch(connection, self._writer.interning)
            while not (batch.full or batch.last):
                batch.add(self._take())
            batch.finish()
        return batch


class Batch:
    """What one transaction adds to the index.

    Attributes:
        done: how many resources have their rows, those of earlier transactions included.
        last: nothing comes after it, or another process was quicker.
    """

    def __init__(self, connection: apsw.Connection, interning: Interning) -> None:
        self._connection, self._intern = connection, interning
        self._pid, self.done = upkeep.reindex_start(connection, ())
        self._first = self.done
        self._quicker = not revival.lacks_index(connection)
        self.last = self._quicker
        self._pending = Pending(connection, interning, index=self._rows_of)
        self._pending.begin(0)

    @property
    def full(self) -> bool:
        """Whether it is time to commit."""
        return self.done - self._first >= COMMITTED

    def add(self, made: list[Made]) -> None:
        """Take a slice, but for what another process has put there meanwhile; an empty one is the last."""
        self.last = not made
        made = [each for each in made if each[0] > self._pid]
        if not made:
            return
        current = frozenset(upkeep.still_current(self._connection, [each[0] for each in made]))
        self._intern.begin()
        for pid, rid, type_, entries in made:
            if pid in current:
                self._pending.index(type_, rid, pid, entries)
        self._pending.flush()
        if self._rows.waiting >= SORTED:
            self._rows.settle()
        self._pid, self.done = made[-1][0], self.done + len(made)

    def finish(self) -> None:
        """Write the rest, and how far it came."""
        self._rows.settle()
        self._rows.close()
        self._pending.finish()
        if self._quicker:
            return
        if self.last:
            upkeep.reindex_end(self._connection)
            revival.done(self._connection)
        else:
            upkeep.put_marker(self._connection, upkeep.reindex_marker((), self._pid, self.done))

    def _rows_of(self, interning: Interning, next_id: Callable[[], int]) -> GatheredRows:
        self._rows = GatheredRows(interning, next_id, self._connection)
        return self._rows


def _begin(connection: apsw.Connection) -> None:
    """Take away the rows of a run that noted nothing: where there is no mark, there is no index."""
    if revival.lacks_index(connection) and not fetch(connection, "SELECT 1 FROM meta WHERE key='reindex'"):
        revival.clear(connection)


@contextmanager
def _more_cache(connection: apsw.Connection) -> Iterator[None]:
    before = fetch(connection, "PRAGMA cache_size")[0][0]
    fetch(connection, f"PRAGMA cache_size=-{CACHE // 1024}")
    try:
        yield
    finally:
        fetch(connection, f"PRAGMA cache_size={before}")


@contextmanager
def _less_garbage() -> Iterator[None]:
    """Have the collector look less often at entries that wait: none is garbage, and it took a fifth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECTOR)
    try:
        yield
    finally:
        gc.set_threshold(*before)
