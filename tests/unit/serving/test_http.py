"""Our HTTP protocol: header lines that were seen before are not parsed again, and nothing else changes by that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from fhir_server.api.decode import LINES
from fhir_server.serving.http import WholeProtocol

HEAD = b"Host: localhost\r\nAuthorization: Bearer one\r\n\r\n"


class Echo:
    """An application that answers with what it was asked, and counts how often header lines were known to it."""

    def __init__(self) -> None:
        self.known = 0
        self.slow = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.known += LINES in scope
        if scope["path"] == "/slow":
            await self.slow.wait()
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        told = b" ".join(b"%b=%b" % field for field in scope["headers"])
        asked = f"{scope['method']} {scope['path']} {scope['raw_path']!r} {scope['query_string']!r} ".encode()
        answer = asked + told + b" " + bytes(body)
        headers = [(b"content-length", b"%d" % len(answer))]
        if not send.__self__.send_whole(200, headers, answer):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def served(app: Echo, keep_alive: float = 5, protocol: type[WholeProtocol] = WholeProtocol) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=1)
    config.load()
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        while state.connections:
            await asyncio.sleep(0.01)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


async def asked(port: int, *requests: bytes) -> list[bytes]:
    async with connected(port) as (reader, writer):
        answers = []
        for request in requests:
            writer.write(request)
            answers.append(await answer(reader))
    return answers


async def test_header_lines_that_come_again_are_known_and_paths_are_their_own() -> None:
    app = Echo()
    async with served(app) as port:
        answers = await asked(port, *(b"GET /fhir/Patient/%d?a=%d HTTP/1.1\r\n" % (n, n) + HEAD for n in range(5)))
    for number, got in enumerate(answers):
        path = f"/fhir/Patient/{number}"
        begin = f"GET {path} {path.encode()!r} {f'a={number}'.encode()!r} host=localhost authorization=Bearer one "
        assert got.decode() == begin
    assert app.known == 4


async def test_another_token_on_the_same_connection_is_read() -> None:
    app = Echo()
    other = HEAD.replace(b"one", b"two")
    async with served(app) as port:
        answers = await asked(port, *(b"GET /x HTTP/1.1\r\n" + lines for lines in (HEAD, HEAD, other, HEAD, other)))
    tokens = [got.rpartition(b"Bearer ")[2].strip() for got in answers]
    assert tokens == [b"one", b"one", b"two", b"one", b"two"]


@pytest.mark.parametrize(
    "line",
    [b"GET /a%20b HTTP/1.1", b"GET /x HTTP/1.0", b"HEAD /x HTTP/1.1", b"GET //x HTTP/1.1", b"GET /x?a=%41#b HTTP/1.1"],
)
async def test_a_request_line_that_is_not_plain_goes_through_the_parser(line: bytes) -> None:
    app = Echo()
    keep = b"Connection: keep-alive\r\n" if line.endswith(b"1.0") else b""
    async with served(app) as port:
        plain = b"GET /x HTTP/1.1\r\n" + HEAD
        fresh = await asked(port, line + b"\r\n" + keep + HEAD)
        again = await asked(port, plain, plain, line + b"\r\n" + keep + HEAD)
    assert again[2] == fresh[0]
    assert app.known == 1


async def test_lines_after_which_a_body_comes_are_never_taken_for_known() -> None:
    app = Echo()
    with_body = b"Host: localhost\r\nContent-Length: 3\r\n\r\n"
    async with served(app) as port:
        answers = await asked(port, *[b"GET /x HTTP/1.1\r\n" + with_body + b"abc"] * 3)
        upgrading = b"Host: localhost\r\nConnection: close\r\n\r\n"
        await asked(port, b"GET /x HTTP/1.1\r\n" + upgrading)
    assert [got[-3:] for got in answers] == [b"abc"] * 3
    assert app.known == 0


async def test_requests_that_are_sent_before_the_answer_are_answered_in_their_order() -> None:
    app = Echo()
    plain = b"GET /x HTTP/1.1\r\n" + HEAD
    async with served(app) as port, connected(port) as (reader, writer):
        for request in (plain, plain):
            writer.write(request)
            await answer(reader)
        writer.write(b"GET /slow HTTP/1.1\r\n" + HEAD)
        await asyncio.sleep(0.05)
        writer.write(plain)
        writer.write(plain + plain + b"GET /la")
        await asyncio.sleep(0.05)
        app.slow.set()
        writer.write(b"st HTTP/1.1\r\n" + HEAD)
        paths = [(await answer(reader)).split(b" ")[1] for _ in range(5)]
    assert paths == [b"/slow", b"/x", b"/x", b"/x", b"/last"]


async def test_a_request_cut_in_two_is_one_request() -> None:
    app = Echo()
    plain = b"GET /x HTTP/1.1\r\n" + HEAD
    async with served(app) as port, connected(port) as (reader, writer):
        for request in (plain, plain):
            writer.write(request)
            await answer(reader)
        writer.write(b"GET /first HTTP/1.1\r\nX-Trick: ")
        await asyncio.sleep(0.05)
        writer.write(plain)  # the rest of the header line that was begun, and then some
        got = await answer(reader)
    assert got.startswith(b"GET /first ") and b"x-trick=GET /x HTTP/1.1" in got


async def test_a_connection_is_closed_once_it_was_idle_for_so_long_and_not_before() -> None:
    app = Echo()
    plain = b"GET /x HTTP/1.1\r\n" + HEAD
    async with served(app, keep_alive=0.3) as port, connected(port) as (reader, writer):
        for _ in range(4):
            writer.write(plain)
            await answer(reader)
            await asyncio.sleep(0.15)
        assert await asyncio.wait_for(reader.read(), 2) == b""


class Strict(WholeProtocol):
    """Our protocol with limits that a test reaches."""

    most_bytes, most_lines, patience = 1_000, 20, 0.2


async def _told(port: int, *pieces: bytes) -> bytes:
    async with connected(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        return await asyncio.wait_for(reader.read(), 5)


async def test_a_head_that_is_too_large_is_refused_also_before_it_is_whole() -> None:
    line = b"GET /x HTTP/1.1\r\nHost: x\r\n"
    async with served(Echo(), protocol=Strict) as port:
        long = await _told(port, line + b"X: " + b"a" * 1_000 + b"\r\n\r\n")
        many = await _told(port, line + b"X: a\r\n" * 20 + b"\r\n" + b"GET /y HTTP/1.1\r\nHost: x\r\n\r\n")
        endless = await _told(port, line, b"X: " + b"a" * 300_000)
    assert all(got.startswith(b"HTTP/1.1 431 ") and got.count(b"HTTP/1.1") == 1 for got in (long, many, endless))


async def test_who_does_not_end_a_head_or_asks_for_nothing_is_not_waited_for() -> None:
    async with served(Echo(), keep_alive=0.3, protocol=Strict) as port:
        silent, begun, blank = await asyncio.gather(
            _told(port), _told(port, b"GET /x HTTP/1.1\r\nHost:", b" x\r\n"), _told(port, b"\r\n")
        )
    assert silent == begun == blank == b""


async def test_what_comes_behind_a_body_is_no_header() -> None:
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served(Echo()) as port:
        (got,) = await asked(port, head + b"3\r\nabc\r\n0\r\nAuthorization: Bearer other\r\n\r\n")
    assert got.endswith(b"abc") and b"authorization" not in got


async def test_the_offer_of_another_protocol_is_not_taken_up_and_costs_no_body() -> None:
    offer = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    async with served(Echo()) as port:
        answers = await asked(port, b"POST /a HTTP/1.1\r\n" + offer, b"GET /x HTTP/1.1\r\n" + HEAD)
        refused = await _told(port, b"CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers[0].startswith(b"POST /a ") and answers[0].endswith(b" abc")
    assert answers[1].startswith(b"GET /x ") and refused.startswith(b"HTTP/1.1 400 ")


async def test_a_slow_answer_does_not_count_as_idle() -> None:
    app = Echo()
    async with served(app, keep_alive=0.1) as port, connected(port) as (reader, writer):
        for path in (b"/x", b"/x", b"/slow"):
            writer.write(b"GET " + path + b" HTTP/1.1\r\n" + HEAD)
            if path != b"/slow":
                await answer(reader)
        await asyncio.sleep(0.3)
        app.slow.set()
        assert (await answer(reader)).startswith(b"GET /slow")


async def test_a_read_that_has_to_wait_is_answered_all_the_same_and_others_meanwhile() -> None:
    app = Waiting()
    async with served(app) as port, connected(port) as (reader, writer), connected(port) as (other, asking):
        for line in (b"GET /x HTTP/1.1\r\n", b"GET /fhir/Patient/1 HTTP/1.1\r\n"):
            writer.write(line + HEAD)
            await answer(reader)
        writer.write(b"GET /fhir/Patient/slow HTTP/1.1\r\n" + HEAD)
        for line in (b"GET /x HTTP/1.1\r\n", b"GET /fhir/Patient/1 HTTP/1.1\r\n"):
            asking.write(line + HEAD)
            assert (await answer(other)).startswith(line[:-11])
        app.slow.set()
        assert (await answer(reader)).startswith(b"GET /fhir/Patient/slow ")


async def test_a_client_that_leaves_before_its_read_is_done_hurts_nobody() -> None:
    app = Waiting()
    async with served(app) as port:
        async with connected(port) as (reader, writer):
            writer.write(b"GET /x HTTP/1.1\r\n" + HEAD)
            await answer(reader)
            writer.write(b"GET /fhir/Patient/slow HTTP/1.1\r\n" + HEAD)
            await asyncio.sleep(0.05)
        app.slow.set()
        assert (await asked(port, b"GET /x HTTP/1.1\r\n" + HEAD))[0].startswith(b"GET /x ")


class Waiting(Echo):
    """An application whose slow answers come through a timeout that was set before it waits."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.timeout(5):
            if scope["path"].endswith("/slow"):
                await self.slow.wait()
            await super().__call__(scope, receive, send)


async def test_an_answer_that_is_ready_goes_out_with_the_headers_of_all_answers() -> None:
    ready = b"HTTP/1.1 200 OK\r\netag: 1\r\ncontent-length: 2\r\n\r\nok"
    sent: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent.append(send.__self__.send_bytes(ready))

    config = uvicorn.Config(app, http=WholeProtocol, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: WholeProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        for day in (b"Mon", b"Tue"):  # uvicorn makes the list anew each second
            state.default_headers = [(b"date", day), (b"x", b"y")]
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            told = await reader.readuntil(b"ok")
            assert told == ready.replace(b"OK\r\n", b"OK\r\ndate: " + day + b"\r\nx: y\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
        server.close()
        while state.connections:
            await asyncio.sleep(0.01)
    assert sent == [True, True]
