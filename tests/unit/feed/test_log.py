"""Pages of the log are read once for all lanes, and none of them misses a commit."""

import asyncio
from types import SimpleNamespace
from typing import Any

from fhir_server.feed.log import LogReader
from fhir_server.feed.records import Position
from fhir_server.model.keys import ResourceKey


class Slow:
    """A store whose reads of the log are answered when they are let through, with what there was when they began."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.gates: list[asyncio.Event] = []

    async def last_txid(self) -> int:
        return len(self.rows)

    async def changes(self, txid: int, limit: int) -> list[Any]:
        found, gate = self.rows[txid:], asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        return found

    async def read_version(self, key: ResourceKey, version: int) -> None:
        return None

    def write(self) -> None:
        number = len(self.rows) + 1
        key = ResourceKey("Patient", str(number))
        self.rows.append(SimpleNamespace(key=key, version=1, deleted=False, txid=number, pid=number))


async def _until(check: Any) -> None:
    for _ in range(100):
        if check():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def test_a_lane_that_joins_a_read_from_before_a_commit_still_sees_the_commit() -> None:
    store = Slow()
    log = LogReader(store)  # type: ignore[arg-type]
    early = asyncio.create_task(log.after(Position(0, 0)))
    await _until(lambda: len(store.gates) == 1)
    store.write()
    woken = asyncio.create_task(log.after(Position(0, 0)))
    await asyncio.sleep(0)
    store.gates[0].set()
    await _until(lambda: len(store.gates) == 2)
    store.gates[1].set()
    assert (await early).changes == ()
    assert [change.txid for change in (await woken).changes] == [1]


async def test_lanes_that_come_together_share_one_read() -> None:
    store = Slow()
    store.write()
    log = LogReader(store)  # type: ignore[arg-type]
    lanes = [asyncio.create_task(log.after(Position(0, 0))) for _ in range(5)]
    await _until(lambda: len(store.gates) == 1)
    store.gates[0].set()
    assert [len((await each).changes) for each in lanes] == [1] * 5
    assert len(store.gates) == 1
