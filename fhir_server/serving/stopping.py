"""How a process takes its leave: a balancer learns of it, answers end their connections, then the sockets close."""

import asyncio
from contextlib import suppress
from typing import Final

from fhir_server.api.application import Application
from fhir_server.telemetry.health import Check, Finding
from fhir_server.telemetry.numbers import DRAINING

CLOSE: Final = (b"connection", b"close")
"""The header by which an answer ends its connection."""

LEAVE: Final = 5.0
"""Seconds that a worker whose place another has taken goes on to answer on connections that are open."""


class Stop:
    """The wish that a process stops.

    Attributes:
        asked: it is to stop. now: it is not to wait for balancers any more.
        leaving: another process answers on the same sockets, so that no balancer needs to know.
    """

    def __init__(self) -> None:
        self.asked, self.now = asyncio.Event(), asyncio.Event()
        self.leaving = False

    def ask(self) -> None:
        """Ask it to stop; who asks again is in a hurry."""
        if self.asked.is_set():
            self.now.set()
        self.asked.set()

    def hurry(self) -> None:
        """Ask it to stop without waiting for balancers."""
        self.now.set()
        self.asked.set()

    def leave(self) -> None:
        """Ask it to leave its place to another process."""
        self.leaving = True
        self.asked.set()

    async def wait(self, seconds: float) -> None:
        """Wait for so long, or until somebody is in a hurry."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.now.wait()


def not_ready(app: Application) -> None:
    """Have `/health/ready` say that this node is about to stop."""

    async def stopping() -> Finding:
        return Finding("failing", "this node is about to stop")

    app.checks.add(Check("stopping", stopping, gates=True))
    DRAINING.set(1)
