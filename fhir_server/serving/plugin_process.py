"""The process of one plugin apart: tells what it has (`describe`), and answers calls on a socket (`serve`).

Run as `python -m fhir_server.serving.plugin_process describe|serve NAME [PIPE]`, with the settings on stdin.
"""

import asyncio
import os
import sys
from contextlib import AbstractContextManager, nullcontext

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fhir_server.api.application import Application
from fhir_server.app import create_app
from fhir_server.dispatch import context_of, operate
from fhir_server.errors import FhirError
from fhir_server.model.exchange import FhirRequest
from fhir_server.plugin_host.apart import Answered, Described, socket_of
from fhir_server.plugins import PluginFault, find
from fhir_server.serving.sockets import listen_unix
from fhir_server.serving.worker import watchdog_of
from fhir_server.settings import Settings
from fhir_server.telemetry.logs import configure


def alone(settings: Settings, name: str) -> Settings:
    """Return the settings under which only this plugin is loaded, in the process itself."""
    others = tuple(found.manifest.name for found in find(settings.plugins_dir) if found.manifest.name != name)
    kept = {key: value for key, value in settings.plugins.items() if key == name}
    return settings.model_copy(
        update={"plugins_apart": (), "plugins_disabled": others, "plugins_enabled": (name,), "plugins": kept,
                "workers": 1}
    )  # fmt: skip


def describe(settings: Settings, name: str) -> bytes:
    """Return the operations of a plugin, for the server."""
    app = create_app(alone(settings, name))
    assert app.assembly is not None
    found = [
        Described(each.facts, each.summary, each.searches, each.links, each.lenient)
        for each in app.assembly.operations(())
    ]
    return msgspec.json.encode(found)


def calls(app: Application) -> Starlette:
    """Return the application behind the socket."""

    async def call(http: Request) -> Response:
        request = msgspec.json.decode(await http.body(), type=FhirRequest)
        return Response(msgspec.json.encode(await _answered(app, request)), media_type="application/json")

    return Starlette(routes=[Route("/call", call, methods=["POST"])])


async def _answered(app: Application, request: FhirRequest) -> Answered:
    assert app.assembly is not None
    server = app.assembly.open_server()
    try:
        # The server that handed the call over records it; what the plugin does in it is recorded here.
        response = await operate(await context_of(server, request), request)
    except FhirError as error:
        issues = tuple(issue.as_json() for issue in error.issues)
        return Answered(error.status, headers=dict(error.headers), issues=issues)
    except Exception as error:  # its message may quote values of patients
        said = {"severity": "error", "code": "exception", "diagnostics": f"the plugin failed: {type(error).__name__}"}
        return Answered(500, issues=(said,))
    return Answered(response.status, b"".join(response.body), dict(response.headers), response.media_type)


async def serve(settings: Settings, name: str, pipe: int) -> None:
    """Answer calls until the pipe of the owner closes."""
    app = create_app(alone(settings, name))
    app.background = False  # the feed and the like run elsewhere
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, stop.set)
    watchdog = watchdog_of(app, end=True)
    watching = asyncio.create_task(watchdog.run()) if watchdog else None
    async with app.router.lifespan_context(app):
        config = uvicorn.Config(calls(app), lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        server.capture_signals = _uncaptured  # type: ignore[method-assign,assignment]
        task = asyncio.create_task(server.serve(sockets=[listen_unix(socket_of(settings, name))]))
        await stop.wait()
        server.should_exit = True
        await task
    if watching is not None:
        watching.cancel()


def _uncaptured() -> AbstractContextManager[None]:
    return nullcontext()


def main() -> int:
    """Run one of the two."""
    what, name, *rest = sys.argv[1:]
    settings = Settings.model_validate_json(sys.stdin.readline())
    configure(settings.log_format)
    try:
        if what == "describe":
            sys.stdout.buffer.write(describe(settings, name))
        else:
            asyncio.run(serve(settings, name, int(rest[0])))
    except PluginFault as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
