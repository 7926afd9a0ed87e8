"""The whole server behind HTTP: by ASGI calls, or on a socket."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from fhir_server.app import create_app
from fhir_server.serving.sockets import listen_tcp
from fhir_server.serving.stopping import Stop
from fhir_server.serving.worker import make_server, serve_until
from fhir_server.settings import Settings

JSON = {"content-type": "application/fhir+json"}
XML = {"content-type": "application/fhir+xml", "accept": "application/fhir+xml"}
BASE = "http://fhir.example/fhir"


@asynccontextmanager
async def over_asgi(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Start a server on an empty folder and give a client of it; what it fails at comes back as 500."""
    app = create_app(Settings(data_dir=folder, durable=False, **{"auth": "none", **settings}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://fhir.example") as http:
            yield http


@asynccontextmanager
async def on_a_socket(app: FastAPI) -> AsyncIterator[int]:
    """Serve an application as a worker does, and give its port."""
    interval = sys.getswitchinterval()
    server = make_server(app, lifespan=True)
    listening = listen_tcp("127.0.0.1", 0)
    stop = Stop()
    task = asyncio.create_task(serve_until(server, [listening], stop))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        stop.hurry()
        await task
        listening.close()
        sys.setswitchinterval(interval)
        gc.unfreeze()


def issue(response: httpx.Response) -> dict[str, Any]:
    """The first issue of an OperationOutcome."""
    found = response.json()
    assert found["resourceType"] == "OperationOutcome", found
    first: dict[str, Any] = found["issue"][0]
    return first
