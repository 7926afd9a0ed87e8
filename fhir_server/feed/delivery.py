"""One call of a consumer's handler: with its context, within its time, and what went wrong as a sentence."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.feed.change import FeedChange
from fhir_server.feed.consumer import Consumer
from fhir_server.telemetry.numbers import DELIVERED, DELIVERIES, DELIVERY_SECONDS

_log = logging.getLogger("fhir_server.feed")
_GRACE: Final = 2.0
"""Seconds in which a handler that is ended must let go; afterwards it is left alone."""

_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """The way to one consumer in one tenant.

    Args:
        context: makes what its handler gets beside the changes.
        limit: seconds for one call.
    """

    consumer: Consumer
    tenant: str
    context: Callable[[], Awaitable[Any]]
    limit: float

    async def __call__(self, changes: Sequence[FeedChange]) -> str:
        """Deliver; return the reason of a failure, empty for none."""
        name = self.consumer.name
        with DELIVERY_SECONDS.timed(name):
            reason = await self._answer(changes)
        DELIVERIES.add(name, "failed" if reason else "ok")
        if not reason:
            DELIVERED.add(name, by=len(changes))
        return reason

    async def _answer(self, changes: Sequence[FeedChange]) -> str:
        task = asyncio.create_task(self._call(tuple(changes)))
        try:
            done, _ = await asyncio.wait((task,), timeout=self.limit)
        except asyncio.CancelledError:
            await self._end(task)
            raise
        if not done:
            await self._end(task)
            return f"it did not answer within {self.limit:g} s"
        return _reason(task)

    async def _call(self, changes: Sequence[FeedChange]) -> None:
        await self.consumer.handler(await self.context(), changes)

    async def _end(self, task: "asyncio.Task[None]") -> None:
        task.cancel()
        _, left = await asyncio.wait((task,), timeout=_GRACE)
        if left:
            _log.error("consumer %s of tenant %s does not end when it is told to", self.consumer.name, self.tenant)
            task.add_done_callback(_reason)
        else:
            _reason(task)


def _reason(task: "asyncio.Task[None]") -> str:
    if task.cancelled():
        return "it cancelled itself"
    error = task.exception()
    if error is None:
        return ""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text[:_LONGEST_REASON]
