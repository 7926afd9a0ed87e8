"""Bell: how the processes of a data folder wake the one that listens, by datagrams on a socket in the folder."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

_SOCKET: Final = "bell.sock"
_DESCRIPTORS: Final = Path("/proc/self/fd")
_LONGEST_NAME: Final = 256
_AGAIN: Final = 0.05
"""Seconds after which rings that found no room are tried again."""


class Bell:
    """Rings are told to the listener of this process, or sent to that of another; where nobody listens they are lost.

    Rings of one turn of the event loop become one for each tenant.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir
        self._heard: list[Callable[[str], None]] = []
        self._waiting: dict[str, None] = {}
        self._flush: asyncio.Handle | None = None
        self._directory = -1
        self._sender: socket.socket | None = None

    def ring(self, tenant: str) -> None:
        """Have whoever listens look at a tenant."""
        self._waiting[tenant] = None
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._send)

    @asynccontextmanager
    async def listen(self, heard: Callable[[str], None]) -> AsyncIterator[None]:
        """Have `heard(tenant)` called for each ring. One process listens at a time; its first listener opens the
        socket."""
        self._heard.append(heard)
        receiver = self._opened() if len(self._heard) == 1 else None
        try:
            yield
        finally:
            self._heard.remove(heard)
            if receiver is not None:
                asyncio.get_running_loop().remove_reader(receiver.fileno())
                receiver.close()

    def close(self) -> None:
        """Ring no more."""
        if self._flush is not None:
            self._flush.cancel()
        if self._sender is not None:
            self._sender.close()
        if self._directory >= 0:
            os.close(self._directory)
        self._directory, self._sender = -1, None

    def _opened(self) -> socket.socket:
        """Take the place of a listener that is gone."""
        (self._folder / _SOCKET).unlink(missing_ok=True)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.setblocking(False)
        receiver.bind(self._path())
        (self._folder / _SOCKET).chmod(0o600)
        asyncio.get_running_loop().add_reader(receiver.fileno(), self._receive, receiver)
        return receiver

    def _receive(self, receiver: socket.socket) -> None:
        names: dict[str, None] = {}
        with suppress(BlockingIOError):
            while True:
                names[receiver.recv(_LONGEST_NAME).decode("utf-8", "replace")] = None
        self._tell(names)

    def _tell(self, names: dict[str, None]) -> None:
        for heard in tuple(self._heard):
            for name in names:
                heard(name)

    def _send(self) -> None:
        names, self._waiting, self._flush = self._waiting, {}, None
        if self._heard:
            self._tell(names)
            return
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        for name in names:
            try:
                self._sender.sendto(name.encode(), self._path())
            except BlockingIOError:  # the listener has much to do
                self._waiting[name] = None
            except OSError:  # nobody listens
                return
        if self._waiting:
            self._flush = asyncio.get_running_loop().call_later(_AGAIN, self._send)

    def _path(self) -> str:
        """Return the path of the socket; by way of a descriptor where it would be longer than the system takes."""
        if not _DESCRIPTORS.exists():
            return str(self._folder / _SOCKET)
        if self._directory < 0:
            self._directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"{_DESCRIPTORS}/{self._directory}/{_SOCKET}"
