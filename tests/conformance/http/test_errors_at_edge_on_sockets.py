"""Clients that are slow, greedy or broken, on real sockets: each gets its answer or its end, and nobody else waits."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fhir_server.model.exchange import FhirRequest, FhirResponse
from tests.conformance.http.over_http import on_a_socket
from tests.unit.api.edge_client import Fake, application, version_of

LARGE = 40_000_000
GET = b"GET /fhir/Patient/p HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET_LARGE = b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answers(request: FhirRequest) -> FhirResponse:
    if request.interaction == "search-type":
        return FhirResponse(200, (b'{"x":"' + b"y" * LARGE + b'"}',))
    return FhirResponse.of_version(version_of())


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[int]:
    async with on_a_socket(application(Fake(answers), **settings)) as port:
        yield port


async def connect(port: int, *, window: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.socket()
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=sock, limit=1024)


async def ask(port: int, raw: bytes) -> tuple[int, bytes]:
    """Send bytes as they are and read until the server closes or falls silent."""
    reader, writer = await connect(port)
    writer.write(raw)
    data = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65_536), 3):
            data += chunk
            head, _, rest = data.partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if length and len(rest) >= int(length[0].split(b":")[1]):
                break
    except (TimeoutError, ConnectionResetError):
        pass
    writer.close()
    return (int(data.split(b" ")[1]) if data else 0), data


async def test_a_reader_that_stops_is_cut_off_and_holds_nobody_up() -> None:
    async with served(send_timeout=1) as port:
        reader, writer = await connect(port, window=4096)
        writer.write(GET_LARGE)
        await reader.readexactly(100)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):
            started = time.perf_counter()
            assert (await ask(port, GET))[0] == 200
            assert time.perf_counter() - started < 0.5
        await asyncio.sleep(2)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = 100
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            while received < LARGE:
                received += len(await reader.readexactly(1024))
        assert received < LARGE
        writer.close()


async def test_a_reader_that_is_merely_slow_gets_everything() -> None:
    async with served(send_timeout=1) as port:
        reader, writer = await connect(port)
        writer.write(GET_LARGE)
        received, pauses = 0, 0
        while received < LARGE:
            received += len(await reader.read(1 << 20))
            if received > pauses * 10_000_000:
                pauses += 1
                await asyncio.sleep(0.4)
        writer.close()


async def test_requests_without_reading_their_answers_hold_nobody_up() -> None:
    async with served(send_timeout=1) as port:
        _, writer = await connect(port, window=4096)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)):
            async with asyncio.timeout(4):
                while True:
                    writer.write(GET * 1_000)
                    await writer.drain()
        assert (await ask(port, GET))[0] == 200
        writer.transport.abort()


async def test_a_body_that_never_ends_is_given_up() -> None:
    async with served(read_timeout=1) as port:
        head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        started = time.perf_counter()
        status, data = await ask(port, head)
        assert (status, b'"timeout"' in data) == (408, True)
        assert b"connection: close" in data.lower()
        assert time.perf_counter() - started < 2


async def test_a_body_over_the_limit_is_refused_by_its_length_alone() -> None:
    async with served(max_body=1_000) as port:
        head = b"POST /fhir/Patient HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
        status, data = await ask(port, head)
        assert status == 413
        assert b"100 Continue" not in data
        assert b"OperationOutcome" in data
        assert (await ask(port, GET))[0] == 200


async def test_a_chunked_body_over_the_limit_is_refused_on_the_way() -> None:
    async with served(max_body=1_000) as port:
        head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        status, _ = await ask(port, head + b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert status == 413


async def test_a_client_that_is_told_to_go_on_goes_on() -> None:
    async with served() as port:
        head = (
            b"PUT /fhir/Patient/p HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
            b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        reader, writer = await connect(port)
        writer.write(head)
        assert b"100" in await asyncio.wait_for(reader.readline(), 2)
        writer.write(b"{}")
        await reader.readline()
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 2)
        writer.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"GET /fhir/Patient\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /fhir/Pat\x00ient HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /fhir/Patient?a=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /fhir/Patient/p HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /fhir/Patient/p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /fhir/Patient/%zz%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /fhir/Basic HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_hardly_http_is_refused(raw: bytes) -> None:
    async with served() as port:
        status, data = await ask(port, raw)
        assert status == 400, data
        assert (await ask(port, GET))[0] == 200


async def test_http_1_0_without_a_host_is_answered() -> None:
    async with served() as port:
        status, data = await ask(port, b"GET /fhir/Patient/p HTTP/1.0\r\n\r\n")
        assert status == 200
        assert b"connection: close" in data.lower()


async def test_requests_in_a_row_are_answered_in_their_order() -> None:
    async with served() as port:
        reader, writer = await connect(port)
        writer.write(GET + GET.replace(b"Patient/p", b"Foo") + GET)
        data = b""
        while chunk := await asyncio.wait_for(reader.read(65_536), 3):
            data += chunk
            if data.count(b"HTTP/1.1 ") == 3 and data.endswith(b"}"):
                break
        assert [line.split(b" ")[1] for line in data.split(b"HTTP/1.1")[1:]] == [b"200", b"404", b"200"]
        writer.close()
