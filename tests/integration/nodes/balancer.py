"""A small balancer of TCP connections: the next node that says it is ready gets the next connection."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx

_LOOK = 0.1
_PIECE = 65_536


class Balancer:
    """`ready` are the ports of the nodes that get connections; it looks at `/health/ready` of each all the time."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self._turns = itertools.count()
        self._open: set[asyncio.Task[None]] = set()
        self.ready: list[int] = []
        self.port = 0

    async def look(self) -> None:
        """Ask each node whether it is ready, for as long as this runs."""
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=2, limits=limits) as http:
            while True:
                states = await asyncio.gather(*(self._state(http, port) for port in self._ports))
                self.ready = [port for port, well in zip(self._ports, states, strict=True) if well]
                await asyncio.sleep(_LOOK)

    async def _state(self, http: httpx.AsyncClient, port: int) -> bool:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection with one to a node."""
        while not self.ready:
            await asyncio.sleep(_LOOK)
        port = self.ready[next(self._turns) % len(self.ready)]
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
        finally:
            for each in (back, writer):
                each.close()

    async def _kept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self.take(reader, writer)
        finally:
            self._open.discard(task)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Balancer"]:
        """Take connections while the context lasts."""
        looking = asyncio.create_task(self.look())
        server = await asyncio.start_server(self._kept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in (looking, *self._open):
                task.cancel()
            await asyncio.gather(looking, *self._open, return_exceptions=True)
            await asyncio.sleep(_LOOK)  # sockets close


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_PIECE):
            target.write(data)
            await target.drain()
    with suppress(OSError):
        target.close()
        await target.wait_closed()
