"""Background: what one process of a data folder does beside requests, for as long as it leads."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import uniform
from typing import Final

from fhir_server.resilience import Complaint, ended
from fhir_server.storage.base import StorageFull, StoreProvider, StoreUnavailable

_log = logging.getLogger("fhir_server.background")
LEAD: Final = "background"
"""The name under which it leads."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_AFTER_OUTAGE: Final = 3.0
_SOUND: Final = 600.0
"""Seconds after which a part that ran counts as sound, so that its next failure is its first."""


@dataclass(frozen=True, slots=True)
class Part:
    """Work that goes on for ever; when it fails it is begun again, later each time.

    failed: told of what it raised; by default the log is.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    failed: Callable[[Exception], None] | None = None


class Background:
    """Waits until this process leads, then runs all parts."""

    def __init__(self, stores: StoreProvider, parts: Sequence[Part]) -> None:
        self._stores, self._parts = stores, parts

    async def run(self) -> None:
        """Lead, again and again, until cancelled."""
        while True:
            async with self._stores.lead(LEAD) as lead:
                _log.info("this process leads")
                tasks = [asyncio.create_task(_keep(part)) for part in self._parts]
                try:
                    await lead.lost.wait()
                finally:
                    await ended(*tasks)


async def _keep(part: Part) -> None:
    pause, loop, complaint = _FIRST_PAUSE, asyncio.get_running_loop(), Complaint()
    while True:
        began = loop.time()
        try:
            await part.run()
            return
        except (StoreUnavailable, StorageFull) as error:  # the part is sound: it begins anew soon after
            if complaint.is_new():
                _log.warning("%s waits: %s", part.name, error)
            await asyncio.sleep(uniform(0.5, 1) * _AFTER_OUTAGE)  # noqa: S311  # no secret
            continue
        except Exception as error:  # one part that fails must not end the others
            complaint.well()
            if part.failed is not None:
                part.failed(error)
            else:
                _log.exception("%s has failed; it is begun again", part.name)
        if loop.time() - began > _SOUND:
            pause = _FIRST_PAUSE
        await asyncio.sleep(pause * uniform(0.5, 1))  # noqa: S311  # no secret
        pause = min(pause * 2, _LONGEST_PAUSE)
