"""A TCP proxy that stands between a node and a server and does what networks do: cut, delay, lose, fall silent, refuse.

It runs on a thread of its own, so that tests of any kind can use it. With `wire="mongodb"` whole messages pass, and the
reply to a command can be lost: the command was executed, the answer never comes.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Self

_CHUNK = 65_536
_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013

Cut = Literal["rst", "fin"]


@dataclass(slots=True)
class Weather:
    """What traffic meets, now; it may be changed at any time.

    silent: nothing passes, in `up` (to the server), `down` or `both` directions, and nobody is told. delay, jitter:
    seconds that each message is late, always and at most in addition; with jitter the replies on several connections
    change their order. rate: bytes per second, 0 for no limit.

    Of commands of MongoDB (asked with their names) drop: the connection breaks before the server has it. lose: it
    breaks before the reply comes. keep: it breaks, and the server gets the command later, at `release`.
    """

    silent: Literal["", "up", "down", "both"] = ""
    delay: float = 0.0
    jitter: float = 0.0
    rate: int = 0
    drop: Callable[[str], bool] = field(default=lambda command: False)
    lose: Callable[[str], bool] = field(default=lambda command: False)
    keep: Callable[[str], bool] = field(default=lambda command: False)


@dataclass(slots=True, eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    lost: set[int] = field(default_factory=set)
    """Requests whose reply is lost."""


class Proxy:
    """Listens on a port of loopback while the context lasts, and passes on to a server."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        wire: Literal["", "mongodb"] = "",
        listen: str = "127.0.0.1",
        seed: int = 0,
    ) -> None:
        self.weather = Weather()
        self.passed = 0
        """Connections that were made."""
        self._target, self._wire, self._random = (host, port), wire, random.Random(seed)
        self.struck = 0
        """Commands that were dropped or kept, and replies that were lost."""
        self._links: set[_Link] = set()
        self._kept: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        with socket.socket() as taken:
            taken.bind((listen, 0))
            self.address: tuple[str, int] = taken.getsockname()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.address[1]

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut all connections and end."""
        self.refuse()
        self.cut()
        self._do(self._emptied())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def refuse(self) -> None:
        """Refuse new connections; those that there are stay."""
        self._do(self._closed())

    def accept(self) -> None:
        """Take connections, again."""
        self._do(self._listening())

    def cut(self, how: Cut = "rst") -> None:
        """End all connections."""
        self._do(self._cut_all(how))

    def half_open(self) -> None:
        """The server loses its connections; the clients are not told."""
        self.weather.silent = "both"
        self._do(self._cut_all("rst", client=False))

    def heal(self) -> None:
        """Be a good network again: whoever was held up in silence is cut off, the rest passes."""
        silent, self.weather.silent = self.weather.silent, ""
        self.weather.delay = self.weather.jitter = self.weather.rate = 0
        self.weather.drop = self.weather.lose = self.weather.keep = lambda command: False
        if silent:
            self.cut()
        self.accept()

    def release(self) -> None:
        """Let the server have the commands that were kept, in their order."""
        self._do(self._released())

    async def _released(self) -> None:
        for server, data in self._kept:
            server.write(data)
            await server.drain()
        self._kept.clear()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listening(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._taken, *self.address, reuse_address=True)

    async def _closed(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _emptied(self) -> None:
        here = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not here]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut_all(self, how: Cut, *, client: bool = True) -> None:
        for link in tuple(self._links):
            for end in (link.client, link.server) if client else (link.server,):
                _end(end, how)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            _end(writer, "rst")
            return
        self.passed += 1
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            ways = asyncio.gather(self._pass(reader, link, "up"), self._pass(from_server, link, "down"))
            await ways
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            ways.cancel()
            await asyncio.gather(ways, return_exceptions=True)
            _end(writer, "fin")
            if all(server is not to_server for server, _ in self._kept):
                _end(to_server, "fin")
            self._links.discard(link)

    async def _pass(self, reader: asyncio.StreamReader, link: _Link, way: Literal["up", "down"]) -> None:
        writer = link.server if way == "up" else link.client
        while data := await self._read(reader):
            weather = self.weather
            if weather.delay or weather.jitter:
                await asyncio.sleep(weather.delay + self._random.uniform(0, weather.jitter))
            if weather.rate:
                await asyncio.sleep(len(data) / weather.rate)
            while self.weather.silent in (way, "both"):
                await asyncio.sleep(0.01)
            if self._wire and self._strikes(data, link, way):
                self.struck += 1
                _end(link.client, "rst")
                return
            writer.write(data)
            await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        if not self._wire:
            return await reader.read(_CHUNK)
        head = await reader.readexactly(_HEADER.size)
        return head + await reader.readexactly(_HEADER.unpack(head)[0] - _HEADER.size)

    def _strikes(self, data: bytes, link: _Link, way: str) -> bool:
        """Tell whether the connection breaks here, at a command or at a reply."""
        _, request, answers, code = _HEADER.unpack_from(data)
        if way == "down":
            return answers in link.lost
        if code != _OP_MSG:
            return False
        command, weather = command_of(data), self.weather
        if weather.lose(command):
            link.lost.add(request)
        if kept := weather.keep(command):
            self._kept.append((link.server, data))
        return kept or weather.drop(command)


def command_of(message: bytes) -> str:
    """Return the name of the command of a message: the first key of its first section."""
    at = _HEADER.size + 4 + 1 + 4 + 1
    return message[at : message.index(b"\0", at)].decode()


def _end(writer: asyncio.StreamWriter, how: Cut) -> None:
    if how == "rst" and not writer.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
