"""One worker process: answers requests on the sockets that the owner hands down, until its pipe closes."""

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
from collections.abc import Sequence

import uvicorn
import uvloop
from fastapi import FastAPI

from fhir_server.api.application import Application
from fhir_server.app import create_app
from fhir_server.serving.backup_watch import watch_backups
from fhir_server.serving.http import WholeProtocol, protocol_of
from fhir_server.serving.stopping import CLOSE, LEAVE, Stop, not_ready
from fhir_server.serving.tls import Renewal, context_of
from fhir_server.serving.warmth import warm
from fhir_server.serving.watchdog import Watchdog, end_worker, folders_of
from fhir_server.settings import Settings
from fhir_server.telemetry.logs import configure

_KEEP_ALIVE = 75
_GC = (50_000, 20, 50)


class WorkerServer(uvicorn.Server):
    """uvicorn without its own signal handlers: whoever runs it decides when it stops.

    Args:
        tls: of the public sockets; those on files stay plain. renewal: takes its renewed certificates.
        ready: descriptor that is closed once it listens; -1 for none.
    """

    def __init__(
        self, config: uvicorn.Config, tls: ssl.SSLContext | None = None, renewal: Renewal | None = None, ready: int = -1
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._tls, self._renewal = tls, renewal
        self._renewing: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        public = [sock for sock in sockets or () if sock.family != socket.AF_UNIX] if self._tls else []
        await super().startup([sock for sock in sockets or () if sock not in public])
        for sock in public:
            made = await asyncio.get_running_loop().create_server(
                self._protocol, sock=sock, ssl=self._tls, backlog=self.config.backlog
            )
            self.servers.append(made)
        if self._renewal is not None:
            self._renewing = asyncio.create_task(self._renewal.watch())
        if self._ready >= 0 and self.started:
            os.write(self._ready, b".")
            os.close(self._ready)

    def drain(self, *, listening: bool) -> None:
        """Have each answer end its connection from now on, and take no new WebSocket; or no new connection at all."""
        self.config.encoded_headers = [*self.config.encoded_headers, CLOSE]
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        if not listening:
            for server in self.servers:
                server.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, and finish what is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        return kind(self.config, self.server_state, self.lifespan.state)  # type: ignore[call-arg]

    def install_signal_handlers(self) -> None:
        """Leave the signals alone."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Leave the signals alone (uvicorn's newer hook)."""
        import contextlib

        return contextlib.nullcontext()


def make_server(app: FastAPI, *, lifespan: bool, settings: Settings | None = None, ready: int = -1) -> WorkerServer:
    """Build the HTTP server of one process around the application."""
    tls = context_of(settings) if settings else None
    told = [("strict-transport-security", f"max-age={settings.hsts}")] if settings and tls and settings.hsts else []
    # The definitions never die, and a parsed Bundle is many objects that all do: looking through either for cycles
    # costs a sixth of an import.
    quiet()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol_of(settings) if settings else WholeProtocol,
        lifespan="on" if lifespan else "off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=settings.stop_grace if settings else None,
        headers=told,
    )
    return WorkerServer(config, tls, Renewal(tls, settings) if tls and settings else None, ready)


def quiet() -> None:
    """Have the garbage collector leave alone what is there, and look at what comes in large steps.

    Without a collection before: it takes a tenth of a second, and finds some megabytes.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(*_GC)


async def serve_until(
    server: WorkerServer,
    sockets: Sequence[socket.socket],
    stop: Stop,
    app: Application | None = None,
    watchdog: Watchdog | None = None,
) -> None:
    """Answer requests until it is asked to stop, then take leave of balancers, and finish what is under way."""
    if app is not None:
        watch_backups(app)
    watching = asyncio.create_task(watchdog.run()) if watchdog is not None else None
    warming = asyncio.create_task(warm(app.settings, lambda: server.started)) if app is not None else None
    task = asyncio.create_task(server.serve(sockets=list(sockets)))
    waiting = asyncio.create_task(stop.asked.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    if app is not None and not task.done():
        await _take_leave(server, stop, app)
    server.should_exit = True
    waiting.cancel()
    await task
    for each in (watching, warming):
        if each is not None:
            each.cancel()


async def _take_leave(server: WorkerServer, stop: Stop, app: Application) -> None:
    """Wait until balancers have noticed, or those who have connections here have opened others."""
    seconds = LEAVE if stop.leaving else app.settings.drain
    if app.role == "background" or stop.now.is_set() or not seconds:
        return
    if not stop.leaving:
        not_ready(app)
    server.drain(listening=not stop.leaving)
    await stop.wait(seconds)


def watchdog_of(app: Application, *, end: bool) -> Watchdog | None:
    """Return what watches the loop of the process; `end`: somebody starts another when this one ends."""
    if app.assembly is None:
        return None
    folders = folders_of(app.assembly.plugins)
    return Watchdog(app.assembly.faults, folders, app.settings.watchdog, end_worker if end else None)


async def _work(app: Application, sockets: Sequence[socket.socket], pipe: int, ready: int) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()

    def alone() -> None:
        """The owner held the other end: however it died, this process finishes and ends."""
        loop.remove_reader(pipe)
        stop.hurry()

    loop.add_reader(pipe, alone)
    for number, heard in ((signal.SIGTERM, stop.ask), (signal.SIGUSR1, stop.leave), (signal.SIGINT, _nothing)):
        loop.add_signal_handler(number, heard)
    server = make_server(app, lifespan=True, settings=app.settings, ready=ready)
    await serve_until(server, sockets, stop, app, watchdog_of(app, end=True))


def _nothing() -> None:
    """Ctrl-C reaches all processes; the owner tells when to end."""


def run(app: Application, sockets: Sequence[socket.socket], pipe: int, ready: int = -1) -> None:
    """Answer requests on the sockets until SIGTERM or the end of the pipe."""
    uvloop.run(_work(app, sockets, pipe, ready))


def main() -> None:
    """Run as `python -m fhir_server.serving.worker ROLE PIPE READY FD...`; the settings come as one line on stdin."""
    pipe, ready, *numbers = (int(text) for text in sys.argv[2:])
    settings = Settings.model_validate_json(sys.stdin.readline())
    configure(settings.log_format)
    app = create_app(settings)
    app.background, app.role = sys.argv[1] != "serving", sys.argv[1]
    run(app, [socket.socket(fileno=number) for number in numbers], pipe, ready)
    os._exit(0)


if __name__ == "__main__":
    main()
