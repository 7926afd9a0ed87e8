"""`book`: entries, their documents and records in one commit, made anew where somebody else was faster."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from fhir_billing.ledger.entry import Entry
from fhir_billing.ledger.posting import SHARDS, Bounds, Overdrawn, post
from fhir_server.plugin_api import (
    Beside,
    Busy,
    PluginContext,
    Put,
    RecordChange,
    RecordChanged,
    Version,
    VersionChanged,
)

_TRIES = 12
_SURE = 2
_writing: ContextVar[bool] = ContextVar("fhir_billing_writing", default=False)


def is_writing() -> bool:
    """Tell whether it is the ledger that writes, as the check of writes asks."""
    return _writing.get()


@contextmanager
def writing() -> Iterator[None]:
    """Mark what is written within as the ledger's own."""
    token = _writing.set(True)
    try:
        yield
    finally:
        _writing.reset(token)


@dataclass(frozen=True, slots=True)
class Booking:
    """What one commit writes.

    puts: documents, each with the version that it was read at (0: new). records: of the plugin, each with the
    revision that it was read at. floors: accounts that may not fall below zero; ceilings: that may not rise above it.
    """

    entries: Sequence[Entry] = ()
    puts: Sequence[Put] = ()
    records: Sequence[RecordChange] = ()
    floors: Sequence[str] = ()
    ceilings: Sequence[str] = ()


async def book(ctx: PluginContext, plan: Callable[[], Awaitable[Booking]]) -> tuple[Version, ...]:
    """Make a plan and write it; when somebody wrote what it stands on meanwhile, plan again on what is there now.

    Args:
        plan: reads all that it decides by, each time it is called, and has no effects of its own.

    Returns:
        The versions of its documents, in order.

    Raises:
        AlreadyBooked: what it would book is in the books; whoever repeats a request looks at what is there.
        Overdrawn: there is less on an account than what is to be taken.
        Busy: others were faster each time.
    """
    for attempt in range(_TRIES):
        booking = await plan()
        try:
            return await _write(ctx, booking, look=attempt > 0)
        except Overdrawn:
            if attempt >= _SURE:
                raise  # it is not that somebody was faster
        except (RecordChanged, VersionChanged):
            await asyncio.sleep(random.random() * 0.002 * 2 ** min(attempt, 6))  # noqa: S311  # only spreads the tries
    raise Busy("others book on the same accounts; try again")


async def _write(ctx: PluginContext, booking: Booking, *, look: bool) -> tuple[Version, ...]:
    """Write a booking. look: whether its entries may be there; at first the commit itself would find that."""
    shard = random.randrange(SHARDS)  # noqa: S311
    bounds = Bounds(booking.floors, booking.ceilings)
    records = await post(ctx.store, booking.entries, at=ctx.now(), shard=shard, bounds=bounds, look=look)
    records += booking.records
    if not booking.puts:
        await ctx.store.put(*records)
        return ()
    with writing():
        return await ctx.own.put_all(booking.puts, beside=Beside(records))
