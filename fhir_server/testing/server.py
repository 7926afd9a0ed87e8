"""TestServer: the whole application on a store in memory, for tests that are plain functions."""

import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from anyio.from_thread import BlockingPortal

from fhir_server.api.application import Application
from fhir_server.app import create_app, now
from fhir_server.definitions import Definitions
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreProvider
from fhir_server.storage.memory import MemoryProvider
from fhir_server.testing.builders import build
from fhir_server.testing.client import client_of, loop
from fhir_server.testing.clock import FakeClock

T = TypeVar("T")


class TestServer:
    """A server in memory.

    Attributes:
        client: asks it, as httpx does: `server.client.get("/fhir/Patient")`.
        clock: its time.
    """

    __test__ = False

    def __init__(self, app: Application, client: httpx.Client, clock: FakeClock, portal: BlockingPortal) -> None:
        self.app, self.client, self.clock, self._portal = app, client, clock, portal

    def settle(self) -> None:
        """Wait until the consumers of the change feed have seen all that is written."""
        assert self.app.running is not None
        self._portal.call(self.app.running.settled, "default")

    def run_scheduled(self, name: str) -> None:
        """Run a plugin's work on the clock now, for the default tenant: `hello.tidy`. Raises what the work does."""
        assembly = self.app.assembly
        assert assembly is not None
        host = assembly.hosts[name.partition(".")[0]]
        [work] = [each for each in assembly.scheduled() if each.name == name]

        async def run() -> None:
            await work.handler((await host.context("default")).core)

        self.call(run)

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run something on the event loop of the server."""
        return self._portal.call(work)

    def patient(self, **members: Any) -> dict[str, Any]:
        """Return a valid Patient."""
        return build("Patient", **members)

    def build(self, type_: str, **members: Any) -> dict[str, Any]:
        """Return a valid resource of a type; see `builders`."""
        return build(type_, **members)


def _memory(settings: Settings, clock: Any, definitions: Definitions) -> StoreProvider:
    return MemoryProvider(settings, clock)


def _plugins() -> dict[str, Path]:
    folder = os.environ.get("FHIR_SERVER_PLUGINS_DIR", "")
    return {"plugins_dir": Path(folder).absolute()} if folder else {}


@contextmanager
def serving(*, real_time: bool = False, **settings: Any) -> Iterator[TestServer]:
    """Start a server, open to everybody unless `auth` says otherwise.

    The plugins that are installed are in force, and those in the folder that FHIR_SERVER_PLUGINS_DIR names.

    real_time: its time goes on as ours does, for what waits by itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        chosen = {"data_dir": Path(folder), "auth": "none", "demo": False, "durable": False, **_plugins(), **settings}
        clock = FakeClock()
        app = create_app(Settings(**chosen), engine=_memory, clock=now if real_time else clock)
        with (
            loop() as portal,
            portal.wrap_async_context_manager(app.router.lifespan_context(app)),
            client_of(app, portal) as client,
        ):
            yield TestServer(app, client, clock, portal)
