"""Nodes are restarted one after the other under load, and nobody notices."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.smart.conftest import ORIGIN
from tests.integration.nodes.balancer import Balancer
from tests.integration.nodes.nodes import Nodes, answers
from tests.integration.nodes.test_examples import example, on_ports
from tests.integration.running import free_port

pytestmark = [pytest.mark.timeout(400), pytest.mark.long, pytest.mark.xdist_group("nodes")]
RATE, CLIENTS = float(os.environ.get("FHIR_SERVER_TEST_RATE", "32")), 8
DRAIN = "3"
FLAGS: set[str] = set()
"""The ids of those that were written, in all runs."""


@dataclass
class Load:
    """Clients on connections that they keep, each with its part of the rate."""

    nodes: Nodes
    port: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    statuses: Counter[str] = field(default_factory=Counter)
    written: set[str] = field(default_factory=set)
    slowest: float = 0.0

    async def client(self) -> None:
        headers = {"authorization": f"Bearer {self.nodes.tokens['boss']}", "host": "ehr.example"}
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        async with httpx.AsyncClient(timeout=30, headers=headers, limits=limits) as http:
            turn = 0
            while not self.over.is_set():
                began = time.monotonic()
                await self._one(http, turn)
                turn += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                await asyncio.sleep(max(0.0, CLIENTS / RATE - (time.monotonic() - began)))

    async def _one(self, http: httpx.AsyncClient, turn: int) -> None:
        url = f"http://127.0.0.1:{self.port}/fhir"
        try:
            if turn % 4 == 0:
                answer = await http.post(f"{url}/Flag", json=_flag())
                if answer.status_code == 201:
                    self.written.add(answer.json()["id"])
            elif turn % 4 == 1:
                answer = await http.get(f"{url}/Flag?_count=2")
            else:
                answer = await http.get(f"{url}/metadata?_elements=status")
            self.statuses[str(answer.status_code)] += 1
        except httpx.HTTPError as error:
            self.statuses[repr(error)] += 1


def _flag() -> dict[str, object]:
    return {"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"display": "nobody"}}


@asynccontextmanager
async def _haproxy(ports: list[int], folder: Path) -> AsyncIterator[int]:
    """HAProxy with the configuration that the documentation gives."""
    config, port = folder / "haproxy.cfg", free_port()
    config.write_text(on_ports(example("haproxy"), port, ports))
    process = await asyncio.create_subprocess_exec("/usr/sbin/haproxy", "-f", str(config))
    try:
        await asyncio.sleep(2)
        yield port
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _ours(ports: list[int], folder: Path) -> AsyncIterator[int]:
    async with Balancer(ports).serve() as balancer:
        yield balancer.port


@pytest.mark.parametrize("balancer", [_ours, _haproxy])
async def test_a_rolling_restart_of_two_nodes_fails_no_request_and_loses_no_write(
    nodes: Nodes, balancer: Any, tmp_path: Path
) -> None:
    async with balancer([nodes.port(0), nodes.port(1)], tmp_path) as port:
        load = Load(nodes, port)
        clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
        began = time.monotonic()
        for place, name in enumerate(("a", "b")):
            await asyncio.sleep(2)
            node = nodes.nodes[place]
            node.process.terminate()
            assert await asyncio.to_thread(node.process.wait, 60) == 0
            again = nodes.begin(name, "--drain", DRAIN, port=nodes.port(place))
            nodes.nodes[place] = again
            await asyncio.to_thread(answers, again)
        await asyncio.sleep(2)
        load.over.set()
        await asyncio.gather(*clients)
    FLAGS.update(load.written)
    total, seconds = sum(load.statuses.values()), time.monotonic() - began
    print(f"{total} requests, {total / seconds:.0f}/s, slowest {load.slowest:.2f} s: {dict(load.statuses)}")
    assert set(load.statuses) == {"200", "201"}, load.statuses
    async with nodes.node(0, {"authorization": f"Bearer {nodes.tokens['boss']}"}) as http:
        page = (await http.get(f"{ORIGIN}/fhir/Flag?_count=1000")).json()
    assert {each["resource"]["id"] for each in page["entry"]} == FLAGS, "none is lost, and none was written twice"
