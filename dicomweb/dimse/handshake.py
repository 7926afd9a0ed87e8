"""The TLS handshakes of those who call: one that fails is told of with its address and the reason.

A server of streams with a context makes them too, and says nothing of those that fail.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Failed = Callable[[str, str, bool], None]


@dataclass(slots=True)
class Handshakes:
    """Lets in whoever comes through a handshake.

    Args:
        within: seconds that one may take. limit: bytes of a reader's buffer.
        connected: serves a connection. failed: is told the address, why there is none, and whether
            it merely was over, as of whoever looks whether the port is open.
    """

    tls: ssl.SSLContext
    within: float
    limit: int
    connected: Connected
    failed: Failed
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def listen(self, address: str, port: int) -> asyncio.Server:
        """Listen. Raises OSError: the address is taken, or not ours."""
        return await asyncio.get_running_loop().create_server(lambda: _Door(self._opened), address, port)

    async def end(self) -> None:
        """End those under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _opened(self, transport: asyncio.Transport) -> None:
        task = asyncio.create_task(self._shake(transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        address = str((transport.get_extra_info("peername") or ("",))[0])
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(self.limit, loop), self.connected, loop)
        try:
            secured = await loop.start_tls(
                transport, protocol, self.tls, server_side=True, ssl_handshake_timeout=self.within
            )
        except OSError as error:
            transport.abort()
            self.failed(address, _reason(error), not isinstance(error, ssl.SSLError))
            return
        except asyncio.CancelledError:
            transport.abort()
            raise
        if secured is not None:  # else it has closed meanwhile
            protocol.connection_made(secured)


class _Door(asyncio.Protocol):
    """Reads nothing before the handshake does."""

    def __init__(self, opened: Callable[[asyncio.Transport], None]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._opened(transport)


def _reason(error: OSError) -> str:
    """Return why a handshake has failed, without the names of OpenSSL's source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").replace("_", " ").lower()
    return str(error).lower() or "it was closed"
