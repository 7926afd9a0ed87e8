"""What the HTTP edge costs: a read through it (dispatch faked) against a bare ASGI app that sends the same bytes.

Both run under uvicorn in a process of their own, turn by turn, with the load from this process; the ratio is what
counts, not the rates. Run: python scripts/bench_edge.py [--seconds 3] [--rounds 3]
"""

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import asynccontextmanager
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from typing import Any

import psutil
import uvicorn
import uvloop

from fhir_server.api.application import Running, make_application
from fhir_server.api.decode import Parts
from fhir_server.api.routes import Router
from fhir_server.definitions import load
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.serving.http import WholeProtocol
from fhir_server.settings import Settings

CONNECTIONS = 16
DATA = (
    b'{"resourceType":"Patient","id":"p","meta":{},"text":{"status":"empty"},"name":[{"family":"'
    + b"x" * 1700
    + b'"}]}'
)
VERSION = Version(1, ResourceKey("Patient", "p"), 3, 1, 1_700_000_000_123, "PUT", Body(DATA, DATA.index(b"meta") + 7))
REQUEST = (
    b"GET /fhir/Patient/p HTTP/1.1\r\nHost: localhost\r\nAccept: application/fhir+json\r\nUser-Agent: bench\r\n\r\n"
)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Send the same bytes and nothing else."""
    body = VERSION.stamped()
    headers = [(b"content-type", b"application/fhir+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def edge() -> Any:
    """Return the application over a dispatch that has the version at hand."""

    async def dispatch(request: FhirRequest) -> FhirResponse:
        return FhirResponse.of_version(VERSION)

    async def ready() -> bool:
        return True

    @asynccontextmanager
    async def opened() -> Any:
        yield Running(dispatch, ready)

    definitions = load()
    app = make_application(Parts(definitions, Settings(), Router(definitions)), opened)
    app.start(Running(dispatch, ready))
    return app


def serve(which: str, pipe: Connection) -> None:
    """Serve one of the two on a free port, which goes back through the pipe."""

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            pipe.send(self.servers[0].sockets[0].getsockname()[1])

    app = edge() if which == "edge" else bare
    config = uvicorn.Config(
        app,
        port=0,
        loop="uvloop",
        http=WholeProtocol,
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
    )
    Announcing(config).run()


async def load_for(port: int, seconds: float) -> float:
    """Return requests per second over keep-alive connections."""
    deadline = time.perf_counter() + seconds
    started = time.perf_counter()
    counts = await asyncio.gather(*(_one(port, deadline) for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - started)


async def _one(port: int, deadline: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.perf_counter() < deadline:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        count += 1
    writer.close()
    return count


class Sink:
    """Takes answers as the real server does, and drops them."""

    transport = None

    def send_whole(self, status: int, headers: Any, body: bytes) -> bool:
        """Take a whole answer."""
        return True

    async def send(self, message: Any) -> None:
        """Take a message."""


async def in_process(app: Any, rounds: int) -> float:
    """Return microseconds of one call without a server."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    send = Sink().send
    headers = [(b"host", b"localhost"), (b"accept", b"application/fhir+json"), (b"user-agent", b"bench")]
    path = "/fhir/Patient/p"
    fixed = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
    }
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(5_000):
            await app({**fixed, "headers": headers, "client": ("127.0.0.1", 1), "server": None}, receive, send)
        best = min(best, (time.perf_counter() - started) / 5_000 * 1e6)
    return best


def main() -> None:
    """Print the in-process costs, then the rates of both and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    print(f"in process: bare {uvloop.run(in_process(bare, 5)):.1f} us, edge {uvloop.run(in_process(edge(), 5)):.1f} us")
    ports = {}
    processes = []
    for which in ("bare", "edge"):
        ours, theirs = Pipe()
        processes.append(Process(target=serve, args=(which, theirs), daemon=True))
        processes[-1].start()
        ports[which] = ours.recv()
    rates: dict[str, list[float]] = {"bare": [], "edge": []}
    costs: dict[str, list[float]] = {"bare": [], "edge": []}
    for _ in range(flags.rounds):
        for (which, port), process in zip(ports.items(), processes, strict=True):
            before = cpu(process)
            rates[which].append(uvloop.run(load_for(port, flags.seconds)))
            costs[which].append((cpu(process) - before) / (rates[which][-1] * flags.seconds) * 1e6)
    for process in processes:
        process.kill()
    rate = {which: statistics.median(found) for which, found in rates.items()}
    cost = {which: statistics.median(found) for which, found in costs.items()}
    print(
        f"over sockets: bare {rate['bare']:.0f}/s, edge {rate['edge']:.0f}/s, ratio {rate['edge'] / rate['bare']:.2f}"
    )
    print(
        f"CPU of the server: bare {cost['bare']:.1f} us, edge {cost['edge']:.1f} us, "
        f"ratio {cost['bare'] / cost['edge']:.2f}"
    )


def cpu(process: Process) -> float:
    """Return the seconds of CPU that a process has used."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
