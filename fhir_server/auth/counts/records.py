"""The counts of several nodes in the store that they share: a record for each name, written by its revision."""

import random
from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fhir_server.auth.counts.counts import CountsAway, Window
from fhir_server.auth.records import RATES
from fhir_server.auth.secrets import digest
from fhir_server.storage.base import Record, RecordChange, RecordChanged, Store, StoreError

Home = Callable[[], Awaitable[Store]]
"""Gives the store of the default tenant."""

_TRIES: Final = 30
_PAUSE: Final = 0.01


class RecordCounts:
    """Counts as records; a name stands in them as a digest, for it may be an address."""

    def __init__(self, home: Home) -> None:
        self._home, self._declared = home, False

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        """Take up to `wanted` of what is left of a window. Raises CountsAway."""
        try:
            store = await self._store()
            for _ in range(_TRIES):
                given = await _taken(store, digest(name), (window, most, wanted))
                if given is not None:
                    return given
                await sleep(random.uniform(0, _PAUSE))  # noqa: S311 - spreads those who write the same record
        except StoreError as error:
            raise CountsAway(str(error)) from error
        raise CountsAway("others write the same count all the time")

    async def close(self) -> None:
        """Nothing is held."""

    async def _store(self) -> Store:
        store = await self._home()
        if not self._declared:
            await store.declare(RATES)
            self._declared = True
        return store


async def _taken(store: Store, key: str, asked: tuple[Window, int, int]) -> int | None:
    """Return how many were taken; None where somebody else wrote the record meanwhile."""
    window, most, wanted = asked
    record = await store.records.get(RATES.name, key)
    count = _count(record, window)
    given = max(0, min(wanted, most - count))
    if not given:
        return 0
    value = {"number": window.number, "count": count + given, "expires": window.ends * 1000}
    try:
        await store.commit((), (RecordChange(RATES.name, key, value, expected=record.revision if record else 0),))
    except RecordChanged:
        return None
    return given


def _count(record: Record | None, window: Window) -> int:
    value: Any = record.value if record else {}
    return int(value["count"]) if value and value["number"] == window.number else 0
