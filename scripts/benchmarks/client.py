"""A small HTTP/1.1 load generator: keep-alive connections that send prepared requests and time the answers."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import uvloop


@dataclass(slots=True)
class Result:
    """Latencies in seconds in the order of answers, the wall time, and how many answers were no success."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    failed: int = 0
    first_failure: bytes = b""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """A quantile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def get(path: str, authorization: str = "") -> bytes:
    """Build a GET request."""
    return f"GET {path} HTTP/1.1\r\n{_host(authorization)}Accept: application/fhir+json\r\n\r\n".encode()


def post(path: str, body: bytes, authorization: str = "") -> bytes:
    """Build a POST request with a JSON body."""
    return _with_body("POST", path, body, authorization)


def put(path: str, body: bytes, authorization: str = "") -> bytes:
    """Build a PUT request with a JSON body."""
    return _with_body("PUT", path, body, authorization)


def _with_body(method: str, path: str, body: bytes, authorization: str) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\n{_host(authorization)}Content-Type: application/fhir+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _host(authorization: str) -> str:
    return f"Host: localhost\r\nAuthorization: {authorization}\r\n" if authorization else "Host: localhost\r\n"


def run(port: int, requests: Iterable[bytes], *, connections: int, seconds: float = 0) -> Result:
    """Send the requests over so many connections until they end, or until the time is over."""
    return uvloop.run(_run(port, iter(requests), connections, seconds))


async def _run(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Result:
    result = Result()
    started = time.perf_counter()
    deadline = started + seconds if seconds else float("inf")
    await asyncio.gather(*(_connection(port, requests, result, deadline) for _ in range(connections)))
    result.seconds = time.perf_counter() - started
    return result


async def _connection(port: int, requests: Iterator[bytes], result: Result, deadline: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    for request in requests:
        begun = time.perf_counter()
        if begun > deadline:
            break
        writer.write(request)
        await answered(reader, result, begun)
    writer.close()


async def answered(reader: asyncio.StreamReader, result: Result, begun: float) -> None:
    """Read one answer and note how long it took."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = await _body(reader, head)
    result.latencies.append(time.perf_counter() - begun)
    if head[9:10] != b"2":
        result.failed += 1
        result.first_failure = result.first_failure or head[:200] + body[:500]


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        return await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
    chunks = []
    while size := int((await reader.readline()).strip() or b"0", 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(chunks)
