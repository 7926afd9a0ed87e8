"""A node that is to stop says so first, and finishes what is under way; workers are replaced without a refusal."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websockets

from fhir_server.serving.stopping import Stop
from tests.integration.running import Running, start

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    running = start(tmp_path / "data", *request.param)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


async def test_a_second_wish_to_stop_is_a_hurry() -> None:
    stop = Stop()
    stop.ask()
    assert (stop.asked.is_set(), stop.now.is_set()) == (True, False)
    waiting = asyncio.create_task(stop.wait(60))
    stop.ask()
    await asyncio.wait_for(waiting, 1)


OFF = "dicomweb,fhir_ai,fhir_billing,fhir_bridges,fhir_cds_hooks,fhir_graphql,fhir_imaging_ai,fhir_match,fhir_views"


@pytest.mark.parametrize("server", [("--drain", "2", "--plugins-disabled", OFF)], indirect=True)
async def test_a_node_that_drains_is_not_ready_ends_connections_and_finishes_what_is_under_way(server: Running) -> None:
    root = server.base.removesuffix("/fhir")
    body = b'{"resourceType":"Patient"}'

    async def slowly() -> Any:
        yield body[:10]
        await asyncio.sleep(2.5)
        yield body[10:]

    async with httpx.AsyncClient(timeout=30) as http, httpx.AsyncClient(timeout=30) as other:
        socket = await websockets.connect(f"{root.replace('http', 'ws')}/subscriptions/websocket")
        headers = {"content-type": "application/fhir+json"}
        slow = asyncio.create_task(other.post(f"{server.base}/Patient", content=slowly(), headers=headers))
        assert "connection" not in (await http.get(f"{server.base}/metadata")).headers
        await asyncio.sleep(0.2)
        server.process.terminate()
        for _ in range(50):
            ready = await http.get(f"{root}/health/ready")
            if ready.status_code == 503:
                break
            await asyncio.sleep(0.02)
        assert ready.json()["checks"]["stopping"]["state"] == "failing"
        assert (await http.get(f"{root}/health/live")).status_code == 200
        answer = await http.get(f"{server.base}/Patient")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{root.replace('http', 'ws')}/subscriptions/websocket")
        assert refused.value.response.status_code == 503
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        assert (await slow).status_code == 201
    assert await asyncio.to_thread(server.process.wait, 20) == 0


@pytest.mark.long  # some 20 s: three processes start anew, one after the other
@pytest.mark.parametrize("server", [("--workers", "2", "--plugins-disabled", OFF)], indirect=True)
async def test_workers_are_replaced_one_by_one_and_no_request_is_lost(server: Running) -> None:
    before = {each.pid for each in psutil.Process(server.process.pid).children()}
    done, failed = 0, list[str]()
    over = asyncio.Event()

    async def client() -> None:
        nonlocal done
        async with httpx.AsyncClient(timeout=30) as http:
            while not over.is_set():
                try:
                    answer = await http.post(
                        f"{server.base}/Basic", json={"resourceType": "Basic", "code": {"text": "x"}}
                    )
                    done += answer.status_code == 201
                except httpx.HTTPError as error:
                    failed.append(repr(error))
                await asyncio.sleep(0.05)

    clients = [asyncio.create_task(client()) for _ in range(4)]
    os.kill(server.process.pid, signal.SIGHUP)
    async with asyncio.timeout(90):
        while before & {each.pid for each in psutil.Process(server.process.pid).children()}:
            await asyncio.sleep(0.1)
    over.set()
    await asyncio.gather(*clients)
    found = httpx.get(f"{server.base}/Basic?_summary=count").json()["total"]
    assert (failed, found) == ([], done) and done > 20
    server.process.terminate()
    assert await asyncio.to_thread(server.process.wait, 30) == 0
