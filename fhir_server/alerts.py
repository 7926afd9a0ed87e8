"""The door for alarms: what somebody has to look at soon, whichever part of the server noticed it.

An alarm is always a line of the log. Whoever listens records it and sends it on: in a server that is audited it becomes
an event of the audit.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final

from fhir_server.telemetry.numbers import ALARMS

_log = logging.getLogger("fhir_server.alerts")
QUIET: Final = 3_600.0
"""Seconds in which the same alarm is not raised again by one process."""

_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alarm.

    kind: what has happened, as a short code: `unreadable-consent`, `damaged-store`, `wrong-key`.
    tenant: in whose record. said: in words, without anything of a patient.
    entity: `Type/id` of the resource or the name of the part at fault; alarms of one kind are told apart by it.
    patient: logical id of the patient whose data are concerned, for the audit; never in the log.
    """

    kind: str
    tenant: str
    said: str
    entity: str = ""
    patient: str = ""


Listener = Callable[[Alert], None]
"""Called on any thread; it must not wait and not raise."""

_listeners: list[Listener] = []
_raised: dict[tuple[str, str, str], float] = {}
_turn = Lock()


def raise_alert(alert: Alert) -> bool:
    """Raise an alarm, from any thread; tell whether it was news. It never raises and never waits."""
    key = (alert.kind, alert.tenant, alert.entity)
    now = time.monotonic()
    with _turn:
        if key in _raised and now - _raised[key] < QUIET:
            return False
        if len(_raised) >= _MOST:
            _raised.clear()
        _raised[key] = now
        listeners = tuple(_listeners)
    ALARMS.add(alert.kind)
    _log.warning("%s in tenant %s (%s): %s", alert.kind, alert.tenant, alert.entity or "-", alert.said)
    for listener in listeners:
        try:
            listener(alert)
        except Exception:  # whoever raises an alarm has trouble enough
            _log.exception("an alarm of kind %s could not be handed on", alert.kind)
    return True


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told of all alarms of this process while the context lasts."""
    with _turn:
        _listeners.append(listener)
        _raised.clear()  # what was raised while nobody listened is news to it
    try:
        yield
    finally:
        with _turn:
            _listeners.remove(listener)
            _raised.clear()  # the next to listen shall hear of what goes on
