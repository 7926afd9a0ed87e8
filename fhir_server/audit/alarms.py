"""Alarms of the server, written into the audit of the tenant that they are about."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from fhir_server.alerts import Alert
from fhir_server.audit.events import ALARM, Agent, Event, agent_text, plain, row_of
from fhir_server.audit.recorder import Recorder
from fhir_server.errors import FhirError
from fhir_server.interactions.tenant import Tenant
from fhir_server.storage.base import StoreError
from fhir_server.tenancy.registration import DEFAULT

_log = logging.getLogger("fhir_server.alerts")
_LONGEST: Final = 300
Held = Callable[[str], AbstractAsyncContextManager[Tenant]]


class Alarms:
    """Listens to the alarms of one process; made where its event loop runs.

    Args:
        held: keeps a tenant open while something is done with it.
    """

    def __init__(self, recorder: Recorder, held: Held) -> None:
        self._recorder, self._held = recorder, held
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, alert: Alert) -> None:
        """Record an alarm soon; called on any thread."""
        self._loop.call_soon_threadsafe(self._start, alert)

    def _start(self, alert: Alert) -> None:
        task = self._loop.create_task(self._record(alert))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record(self, alert: Alert) -> None:
        """Record it with its tenant or, where that one's store is what is broken, with the default one."""
        for name in dict.fromkeys((alert.tenant, DEFAULT)):
            try:
                async with self._held(name) as tenant:
                    event = _event(alert, name)
                    row = row_of(self._recorder.now(), agent_text(Agent("server")), event)
                    self._recorder.add(self._recorder.book(name, tenant.store.audit), row)
                    return
            except (KeyError, FhirError, StoreError, OSError):
                continue
        _log.error("an alarm of kind %s cannot be recorded: no store can be opened", alert.kind)


def _event(alert: Alert, recorded_in: str) -> Event:
    where = "" if alert.tenant == recorded_in else f" (in tenant {alert.tenant})"
    note = plain(f"{alert.kind}: {alert.said}{where}")[:_LONGEST]
    patients = (alert.patient,) if alert.patient else ()
    return Event(ALARM, 500, plain(alert.entity), patients=patients, note=note)
