"""The owner's own door: status, backup, export and sweeps, for commands of the same user on the same machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fhir_server.serving.feed_door import feed_routes
from fhir_server.serving.maintenance import Maintenance
from fhir_server.storage.base import StoreError
from fhir_server.tenancy.registration import DEFAULT

Progress = Callable[[int, int], None]


def control_app(maintenance: Maintenance) -> Starlette:
    """Build the application behind the control socket; whoever can open the socket may do all of this."""

    async def status(request: Request) -> Response:
        try:
            return JSONResponse(await maintenance.status(_tenant(request)))
        except KeyError:
            return JSONResponse({"error": f"there is no tenant {_tenant(request)!r}"}, 404)

    async def backup(request: Request) -> Response:
        asked = await request.json()
        target, tenant = Path(asked.get("target", "")), asked.get("tenant", "")
        keys = Path(asked["patient_keys"]) if asked.get("patient_keys") else None
        if asked.get("base"):
            return StreamingResponse(_lines(lambda progress: maintenance.base(progress, tenant)))
        return StreamingResponse(_lines(lambda progress: maintenance.backup(target, progress, tenant, keys)))

    async def rekey(request: Request) -> Response:
        return JSONResponse({"waiting": await maintenance.rekey()})

    async def upgrade(request: Request) -> Response:
        try:
            return JSONResponse(await maintenance.upgrade((await request.json())["action"]))
        except (ValueError, StoreError) as error:
            return JSONResponse({"error": str(error)}, 409)

    async def export(request: Request) -> Response:
        txid = request.query_params.get("txid")
        lines = maintenance.export(request.query_params["type"], _tenant(request), None if txid is None else int(txid))
        return StreamingResponse(lines, media_type="application/fhir+ndjson")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/backup", backup, methods=["POST"]),
            Route("/rekey", rekey, methods=["POST"]),
            Route("/upgrade", upgrade, methods=["POST"]),
            Route("/export", export),
            *feed_routes(maintenance),
        ]
    )


def _tenant(request: Request) -> str:
    return request.query_params.get("tenant", DEFAULT)


async def _lines(work: Callable[[Progress], Awaitable[object]]) -> AsyncIterator[bytes]:
    """Run long work and yield its progress, then its result or error, as lines of JSON."""
    queue: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def progress(done: int, of: int) -> None:
        line: dict[str, object] = {"done": done, "of": of}
        loop.call_soon_threadsafe(queue.put_nowait, line)

    async def run() -> None:
        try:
            queue.put_nowait({"result": await work(progress)})
        except KeyError as error:
            queue.put_nowait({"error": f"there is no tenant {error.args[0]!r}"})
        except Exception as error:  # the command must hear of every failure; it shows this line to its user
            queue.put_nowait({"error": str(error) or type(error).__name__})
        queue.put_nowait(None)

    task = asyncio.create_task(run())
    while (line := await queue.get()) is not None:
        yield json.dumps(line, default=str).encode() + b"\n"
    await task
