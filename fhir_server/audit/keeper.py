"""Keeper: what the owner of a data folder does for the audit: sign heads, and send rows to the sinks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from fhir_server.audit.ledger import Head, Ledger
from fhir_server.audit.retention import retain
from fhir_server.storage.audit import AuditEntry
from fhir_server.storage.base import Collection, RecordChange, Store
from fhir_server.telemetry.numbers import AUDIT_FAILURES, AUDIT_SIGNED

SENT: Final = Collection("audit.sinks")
SENT_EVERY: Final = 5.0
"""Seconds between two looks at what is new."""

SIGNED_EVERY: Final = 12
"""Looks from one head to the next."""

_BATCH: Final = 1_000


class Sink(Protocol):
    """A place that events are sent to, by plugins; its methods may block. Its name is that of its place in the log."""

    @property
    def name(self) -> str:
        """Name of the place; how far it has come is kept under it."""

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        """Take rows; they count as sent once it returns. Raises OSError."""

    def keep(self, tenant: str, head: Head) -> None:
        """Take a signed head. Raises OSError."""


class Keeper:
    """Looks after the audit of all tenants.

    Args:
        years: for which rows are kept; 0: for ever.
    """

    def __init__(self, sinks: Sequence[Sink], now: Callable[[], int], years: int = 0) -> None:
        self._sinks, self._now, self._years = sinks, now, years

    async def look(self, tenant: str, store: Store) -> None:
        """Send what is new to each sink. Raises OSError: one has failed; it is to be asked again."""
        end = await store.audit.size()  # what comes meanwhile is for the next look
        if not end:
            return
        failed: OSError | None = None
        for sink in self._sinks:
            try:
                await self._send(sink, tenant, store, end)
            except OSError as error:
                AUDIT_FAILURES.add("send")
                failed = error
        if failed is not None:
            raise failed

    async def sign(self, tenant: str, store: Store) -> None:
        """Sign the head of the log where it has grown. Raises OSError: a sink cannot take it."""
        if not await store.audit.size():
            return
        head = await Ledger(store, self._now).head()
        AUDIT_SIGNED.set(self._now() / 1_000)
        for sink in self._sinks:
            await asyncio.to_thread(sink.keep, tenant, head)
        if self._years:
            sent = [await self._done(sink, store) for sink in self._sinks]
            await retain(store, self._now, self._years, min(sent, default=None))

    async def _send(self, sink: Sink, tenant: str, store: Store, end: int) -> None:
        done = max(await self._done(sink, store), await store.audit.first() - 1)
        while entries := await store.audit.span(done + 1, min(done + _BATCH, end)):
            await asyncio.to_thread(sink.send, tenant, entries)
            done = entries[-1].seq
            await store.commit((), (RecordChange(SENT.name, sink.name, {"seq": done}),))

    async def _done(self, sink: Sink, store: Store) -> int:
        """Return the last row that a sink has taken."""
        await store.declare(SENT)
        record = await store.records.get(SENT.name, sink.name)
        return int(str(record.value["seq"])) if record else 0
