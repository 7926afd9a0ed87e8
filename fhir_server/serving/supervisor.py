"""The owner process of a data folder: takes it, opens the doors, runs workers and upkeep, and stops cleanly."""

import asyncio
import gc
import logging
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import httpx
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_server.api.application import NUMBERS, Application, numbers_folder
from fhir_server.api.decode import OPERATOR
from fhir_server.app import create_app
from fhir_server.auth.desk import Desk
from fhir_server.auth.first_steps import Greeting, first_steps
from fhir_server.serving.apart import Apart
from fhir_server.serving.archiving import need_restored
from fhir_server.serving.control import control_app
from fhir_server.serving.demo import DEMO_PATIENT, DemoUnavailable, demo_bundles
from fhir_server.serving.door import BACKGROUND_SOCKET, CONTROL_SOCKET, FHIR_SOCKET
from fhir_server.serving.following import Following
from fhir_server.serving.maintenance import AlreadyOwned, Maintenance, own
from fhir_server.serving.sockets import CannotListen, address_of, is_loopback, listen_tcp, listen_unix
from fhir_server.serving.stopping import Stop
from fhir_server.serving.terminology import make_terminology
from fhir_server.serving.tls import context_of, with_certificate
from fhir_server.serving.warmth import steps
from fhir_server.serving.worker import WorkerServer, make_server, quiet, serve_until, watchdog_of
from fhir_server.serving.workers import Workers, has_own_background, roles
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, StoreError
from fhir_server.telemetry.process import Process
from fhir_server.telemetry.sharing import Board

logger = logging.getLogger(__name__)
Say = Callable[[str], None]
_FIRST_START = "first-start"
"""Under this name one node at a time looks whether there is nothing yet, and makes what there has to be."""


class Supervisor:
    """Runs one data folder. `public` False: only local commands can reach it.

    Made before the event loop runs, as it forks the workers.
    """

    def __init__(self, settings: Settings, *, public: bool = True, say: Say = lambda text: None) -> None:
        settings = (
            with_certificate(settings) if public else settings.model_copy(update={"tls_cert": None, "tls_key": None})
        )
        context_of(settings)  # refused now, not by each worker
        self._settings = settings
        self._public = public
        self._say = say
        self._app = create_app(settings)
        self._workers = Workers(settings, warmed(self._app, settings)) if roles(settings) else None
        self.stop = Stop()
        self.greeting = Greeting()
        self._restarting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until `stop` is set.

        Raises:
            AlreadyOwned: another process holds the data folder; the message has its address.
            BackupRefused: the folder is empty, and its archive is not.
            CannotListen: the address is taken.
        """
        settings = self._settings
        quiet()
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            # Bound before the store is taken, so that a taken port is reported first; it answers once workers accept.
            public = listen_tcp(settings.host, settings.port) if self._public else None
            address = address_of(public, tls=settings.tls_cert is not None) if public else "local commands only"
            stack.enter_context(own(settings.data_dir, address, str(settings.data_dir / CONTROL_SOCKET)))
            await need_restored(settings)
            shutil.rmtree(settings.data_dir / NUMBERS, ignore_errors=True)  # counts begin anew, as counters do
            maintenance = await stack.enter_async_context(Maintenance.opened(settings))
            following = Following(maintenance, settings) if settings.shared else None
            if following is not None:
                await following.begin()
            async with maintenance.alone(_FIRST_START):
                await self._first_start(maintenance, address)
            local = listen_unix(settings.data_dir / FHIR_SOCKET)
            control = listen_unix(settings.data_dir / CONTROL_SOCKET)
            sockets = [sock for sock in (public, local) if sock is not None]
            await self._serve(maintenance, following, sockets, control)

    async def _serve(
        self,
        maintenance: Maintenance,
        following: Following | None,
        sockets: list[socket.socket],
        control: socket.socket,
    ) -> None:
        server = WorkerServer(
            uvicorn.Config(control_app(maintenance), lifespan="off", log_config=None, access_log=False)
        )
        control_task = asyncio.create_task(server.serve(sockets=[control]))
        follow = following.run() if following else asyncio.sleep(0)
        led = maintenance.led(maintenance.upkeep, partial(maintenance.keep_audit, self._settings))
        apart = Apart(self._settings, self._settings.plugins_apart).run()
        archive = maintenance.archive()
        works = (led, follow, make_terminology(self._settings.data_dir), apart, archive)
        upkeep = [asyncio.create_task(_told(work)) for work in works]
        try:
            if self._workers is None:
                await self._serve_here(sockets)
            else:
                await self._serve_with_workers(self._workers, sockets)
        finally:
            for each in upkeep:
                each.cancel()
            server.should_exit = True
            await asyncio.gather(control_task, *upkeep, return_exceptions=True)

    async def _serve_here(self, sockets: list[socket.socket]) -> None:
        announced = asyncio.create_task(self._announce(sockets))
        server = make_server(self._app, lifespan=True, settings=self._settings)
        await serve_until(server, sockets, self.stop, self._app, watchdog_of(self._app, end=False))
        announced.cancel()

    async def _serve_with_workers(self, workers: Workers, sockets: list[socket.socket]) -> None:
        own, board = has_own_background(self._settings), Board(numbers_folder(self._settings))
        workers.start(sockets, listen_unix(self._settings.data_dir / BACKGROUND_SOCKET) if own else None)
        watch = asyncio.create_task(workers.watch())
        try:
            if self._settings.workers > 1:
                announced = asyncio.create_task(self._announce(sockets))
                with Process("owner", board, self._settings.data_dir).watched():
                    await self.stop.asked.wait()
                announced.cancel()
            else:
                await self._serve_here(sockets)
        finally:
            watch.cancel()
            await workers.stop(self.stop)

    def restart(self) -> None:
        """Replace the workers one after the other, if there are several; the sockets stay open."""
        if self._workers is None or self._settings.workers == 1:
            logger.warning("SIGHUP: a server of one worker cannot replace it while it serves; set workers to 2")
        elif self._restarting is None or self._restarting.done():
            self._restarting = asyncio.create_task(self._workers.restart())

    async def _announce(self, sockets: list[socket.socket]) -> None:
        """Say where the server is once it answers."""
        transport = httpx.AsyncHTTPTransport(uds=str(self._settings.data_dir / FHIR_SOCKET), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://local", timeout=30) as client:
            while True:
                try:
                    if (await client.get("/health/live")).is_success:
                        break
                except httpx.TransportError:
                    pass  # no worker listens yet
                await asyncio.sleep(0.05)
        if self._public:
            tls = self._settings.tls_cert is not None
            self._say(_welcome(f"{address_of(sockets[0], tls=tls)}/fhir", self._settings, self.greeting))

    async def _first_start(self, maintenance: Maintenance, address: str) -> None:
        """Fill an empty folder with the demo, make the first administrator, tell how to sign in."""
        demo = self._settings.demo and await maintenance.empty()
        if not demo and (self._settings.auth == "none" or not self._public):
            return
        app = create_app(self._settings)
        app.background, app.role = False, "owner"
        async with app.router.lifespan_context(app):
            assert app.running is not None
            if demo:
                self._say("Loading demo patients ...")
                await self._load_demo(app)
            if self._settings.auth == "smart" and self._public:
                desk = await app.running.desk_of("default", f"{address}/fhir")
                self.greeting = await first_steps(desk, demo=await self._is_demo(desk))
        app.watched.board.withdraw()  # what was counted here is counted on by whatever serves in this process

    async def _is_demo(self, desk: Desk) -> bool:
        """Tell whether a token for everything may be printed: of demo data that only this machine reaches."""
        if not self._settings.demo or not is_loopback(self._settings.host):
            return False
        return await desk.store.read(DEMO_PATIENT) is not None

    async def _load_demo(self, app: Application) -> None:
        transport = httpx.ASGITransport(app=as_operator(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            try:
                for bundle in demo_bundles():
                    headers = {"content-type": "application/fhir+json"}
                    (await client.post("/fhir", content=bundle, headers=headers)).raise_for_status()
            except DemoUnavailable as error:
                self._say(str(error))


def warmed(app: Application, settings: Settings) -> Application:
    """Make what every worker needs and keeps, so that it is made once and shared by the forks."""
    for step in steps(settings):
        step()
    gc.freeze()  # the collector would touch, and so copy, what the forks share
    return app


async def _told(work: Awaitable[object]) -> None:
    """Do what the owner does beside requests; where it fails, say so now, and go on without it."""
    try:
        await work
    except Exception:
        logger.exception("something that the owner of the data folder does has ended")


def as_operator(app: ASGIApp) -> ASGIApp:
    """Return the application as the operator of the machine calls it."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {OPERATOR: True}}, receive, send)

    return called


def _welcome(base: str, settings: Settings, greeting: Greeting) -> str:
    """Return how to use the server, with a line to copy."""
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    asked = "Patient?_count=1&_pretty=true" if settings.auth == "none" or greeting.header else "metadata?_pretty=true"
    return (
        f"FHIR R4 at {base} ({workers}, data in {settings.data_dir.resolve()})\n"
        f"{greeting.text}"
        f"Try:  curl -s {_trust(settings)}{greeting.header}'{base}/{asked}'\n"
        f"Pages: {base.removesuffix('fhir')} and {base.removesuffix('fhir')}docs   Stop: Ctrl-C"
    )


def _trust(settings: Settings) -> str:
    """Return what curl needs to trust a certificate of our own."""
    return f"--cacert {settings.tls_cert} " if settings.tls_self_signed and settings.tls_cert else ""


def serve(settings: Settings, *, public: bool = True, say: Say = lambda text: None, until_eof: bool = False) -> None:
    """Run a supervisor until SIGTERM, SIGINT or (with `until_eof`) the end of stdin. SIGHUP replaces the workers.

    SIGTERM lets balancers notice first (`drain`); SIGINT, and a second SIGTERM, do not.
    """

    supervisor = Supervisor(settings, public=public, say=say)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = supervisor.stop
        heard = ((signal.SIGTERM, stop.ask), (signal.SIGINT, stop.hurry), (signal.SIGHUP, supervisor.restart))
        for number, done in heard:
            loop.add_signal_handler(number, done)
        if until_eof:
            loop.add_reader(sys.stdin.fileno(), stop.hurry)
        await supervisor.run()

    uvloop.run(run())


def main() -> int:
    """Run as `python -m fhir_server.serving.supervisor` for one local command; the settings come as a line on stdin."""
    try:
        serve(Settings.model_validate_json(sys.stdin.readline()), public=False, until_eof=True)
    except (AlreadyOwned, BackupRefused, CannotListen, StoreError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
