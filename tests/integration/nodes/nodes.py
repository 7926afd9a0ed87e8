"""Nodes of one server: processes with a data folder each, on one MongoDB, as on machines of their own."""

import argparse
import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import randrange
from typing import Any

import httpx

from fhir_server.auth.clients import save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.records import COLLECTIONS
from fhir_server.auth.tokens import new_tokens
from fhir_server.auth.users import User, new_user, save_user, with_password
from fhir_server.commands import terminology
from fhir_server.settings import Settings
from fhir_server.storage.mongodb.provider import MongoProvider
from tests.conformance.smart.conftest import BASE, CLIENTS, ORIGIN, PUBLIC
from tests.conformance.smart.walking import PASSWORD
from tests.integration.running import Running, command, free_port

_SLACK = 4.0
PLUGINS = "fhir_ai fhir_billing fhir_bridges fhir_cds_hooks fhir_graphql fhir_imaging_ai fhir_match fhir_mcp"
OFF = (*PLUGINS.split(), "fhir_messaging", "fhir_views", "dicomweb")
"""Plugins that these tests do not speak of: a node starts the sooner."""

CONFIG = f"""
storage = "mongodb"
plugins_disabled = {list(OFF)}
mongodb_lease = 2
drain = 1
rate_token = "9/hour"
sign_in_failures = 5
hidden_pause = 0
base_url = "{BASE}"
[plugins.fhir_subscriptions]
inside = true
first_pause = 0.2
longest_pause = 0.5
timeout = 2
"""


@dataclass(slots=True)
class Nodes:
    """Two nodes, and tokens that were made for all of them."""

    url: str
    database: str
    folder: Path
    nodes: list[Running]
    tokens: dict[str, str]

    def node(self, place: int, headers: dict[str, str] | None = None, transport: Any = None) -> httpx.AsyncClient:
        """Return a client of one node, which calls it by the name that all have, from an address of its own."""
        told = {"x-forwarded-for": ".".join(str(randrange(1, 250)) for _ in range(4)), **(headers or {})}
        return httpx.AsyncClient(transport=transport or At(self.port(place)), base_url=ORIGIN, timeout=30, headers=told)

    def port(self, place: int) -> int:
        return int(httpx.URL(self.nodes[place].base).port or 0)

    def begin(self, name: str, *flags: str, port: int = 0) -> Running:
        """Start a node; it may not answer yet."""
        log, port = self.folder / f"{name}.log", port or free_port()
        arguments = [*self._told(self.folder / name), "--no-demo", "--port", str(port), *flags]
        with log.open("ab") as stream:
            process = subprocess.Popen(command("serve", *arguments), stderr=stream, stdout=stream, env=_plain())
        return Running(f"http://127.0.0.1:{port}/fhir", process, self.folder / name, log)

    async def terminology(self, *arguments: str) -> None:
        """Run `fhir-server terminology` as on a machine of its own."""
        parser = argparse.ArgumentParser()
        terminology.add_arguments(parser)
        folder = self.folder / "commands"
        settings = Settings(storage="mongodb", mongodb_url=self.url, mongodb_database=self.database, data_dir=folder)
        assert await asyncio.to_thread(terminology.run, settings, parser.parse_args(arguments)) == 0

    def _told(self, folder: Path) -> list[str]:
        config = self.folder / "nodes.toml"
        config.write_text(CONFIG)
        settings = ["--mongodb-url", self.url, "--mongodb-database", self.database]
        return ["--config", str(config), "--data-dir", str(folder), *settings]

    def start(self, *names: str, flags: tuple[str, ...] = ()) -> None:
        """Start nodes at the same time, and wait until they answer."""
        begun = [self.begin(name, *flags) for name in names]
        self.nodes += begun
        with ThreadPoolExecutor(len(begun)) as pool:
            list(pool.map(answers, begun))

    def stop(self) -> None:
        """Stop all."""
        alive = [each for each in self.nodes if each.process.poll() is None]
        for each in alive:
            each.process.terminate()
        for each in alive:
            each.process.wait(60)


def _plain() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("FHIR_SERVER_")}


class At(httpx.AsyncHTTPTransport):
    """Goes to a port of this machine, whatever the URL says."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        there = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        moved = httpx.Request(
            request.method, there, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await super().handle_async_request(moved)


def answers(node: Running) -> None:
    """Wait until a node answers."""
    until = time.monotonic() + 90
    while time.monotonic() < until and node.process.poll() is None:
        try:
            if httpx.get(f"{node.base.removesuffix('/fhir')}/health/ready", timeout=30).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(node.log.read_text()[-3000:])


def seeded(url: str, database: str) -> dict[str, str]:
    """Write users, clients and tokens into the store, as a node would; return the tokens."""
    return asyncio.run(_seeded(url, database))


async def _seeded(url: str, database: str) -> dict[str, str]:
    settings = Settings(storage="mongodb", mongodb_url=url, mongodb_database=database)
    provider = MongoProvider(settings, lambda: time.time_ns() // 1_000_000)
    try:
        store = await provider.open("default")
        for collection in COLLECTIONS:
            await store.declare(collection)
        desk = Desk(store, settings, BASE, BASE, lambda: time.time_ns() // 1_000_000)
        doctor = await with_password(new_user("doc", subject="Practitioner/doc", roles=("clinician",)), PASSWORD)
        admin = new_user("boss", roles=("admin",))
        for user in (doctor, admin, replace(new_user("guessed"), password=doctor.password)):
            await save_user(desk, user)
        for client in CLIENTS:
            await save_client(desk, client)
        return {name: await _token(desk, user) for name, user in (("doc", doctor), ("boss", admin), ("gone", doctor))}
    finally:
        await provider.close()


async def _token(desk: Desk, user: User) -> str:
    who = {"user": user.id, "subject": user.subject, "roles": user.roles}
    grant = new_grant(desk, PUBLIC.id, "user/*.cruds", **who)
    pair = new_tokens(desk, grant, refreshing=False)
    await desk.put(stored(grant), *pair.changes)
    return pair.access


async def within(seconds: float, holds: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until something holds; return what it gave. The machine may be busy, so some seconds more are allowed."""
    began = time.monotonic()
    while not (found := await holds()):
        assert time.monotonic() - began < seconds + _SLACK, f"it does not hold after {seconds} s"
        await asyncio.sleep(0.05)
    return found
