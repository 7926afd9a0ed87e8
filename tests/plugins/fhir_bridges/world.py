"""Servers with bridges, and the real brokers that they speak to."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from fhir_server.app import create_app
from fhir_server.settings import Settings
from fhir_server.storage.memory.provider import MemoryProvider
from tests.integration.running import free_port
from tests.plugins.only import but

SECRET = "a secret that nobody guesses"


class World:
    """Servers one after the other on one store in memory."""

    def __init__(self, folder: Path, **bridges: Any) -> None:
        self.settings = Settings(
            data_dir=folder,
            auth="none",
            demo=False,
            durable=False,
            plugins_disabled=but("fhir_bridges"),
            plugins={"fhir_bridges": bridges},
            base_url="http://fhir.example/fhir",
            feed_retry_first=0.05,
            feed_retry_longest=0.2,
        )
        self.stores = MemoryProvider(self.settings, lambda: time.time_ns() // 1_000_000)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(self.settings, engine=lambda *_: self.stores)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                yield client


async def put(client: httpx.AsyncClient, id_: str, family: str = "A") -> None:
    """Write a patient."""
    body = {"resourceType": "Patient", "id": id_, "name": [{"family": family}]}
    (await client.put(f"/fhir/Patient/{id_}", json=body)).raise_for_status()


async def until(condition: Callable[[], Any], within: float = 20) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


async def there(client: httpx.AsyncClient, id_: str, version: str = "1", within: float = 20) -> dict[str, Any]:
    """Wait until a patient has a version; return it."""
    async with asyncio.timeout(within):
        while True:
            answer = await client.get(f"/fhir/Patient/{id_}")
            if answer.is_success and answer.json()["meta"]["versionId"] >= version:
                return dict(answer.json())
            await asyncio.sleep(0.02)


def program(name: str) -> str | None:
    """Return the path of a broker, which Debian keeps where only root looks; None where it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def process(port: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a broker until the end of the context, once it listens."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline and running.poll() is None, f"{command[0]} did not start"
                time.sleep(0.02)
        yield running
    finally:
        running.kill()
        running.wait()


@contextmanager
def mosquitto(folder: Path, port: int = 0) -> Iterator[int]:
    """Run an MQTT broker that keeps what it has; yield its port."""
    port = port or free_port()
    config = folder / "mosquitto.conf"
    folder.mkdir(exist_ok=True)
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
        "autosave_interval 1\nuser root\n"
    )
    with process(port, program("mosquitto") or "", "-c", str(config)) as running:
        yield port
        running.terminate()
        running.wait(10)


@contextmanager
def nats_server(folder: Path, port: int = 0) -> Iterator[int]:
    """Run a NATS server with JetStream; yield its port."""
    port = port or free_port()
    with process(port, program("nats-server") or "", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)):
        yield port
