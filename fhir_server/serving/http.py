"""uvicorn's HTTP protocol with one addition: a small answer leaves in one write.

ASGI sends head and body as two messages, which are two system calls, and uvicorn looks at each header with two regular
expressions; together that costs as much as the read of a resource. `api/sending` asks for `send_whole` and goes the
ASGI way where a server does not have it.
"""

import asyncio
import socket
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from fhir_server.api.decode import OPERATOR


class WholeCycle(RequestResponseCycle):
    """One request and its answer."""

    def send_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a complete answer, its headers saying how long it is; tell whether that was possible."""
        if self.response_started or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return False
        fields = [*self.default_headers, *headers]
        lines = [STATUS_LINE[status], *[b"%b: %b\r\n" % field for field in fields], b"\r\n"]
        head = b"".join(lines)
        if head.count(b"\n") != len(fields) + 2:
            return False  # a line break within a header: uvicorn refuses it in its own way
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(head + body)
        self.message_event.set()
        self.on_response()
        return True


class WholeProtocol(HttpToolsProtocol):
    """One connection; its requests become `WholeCycle`s before their task first runs.

    Who reaches the Unix socket in the data folder is the operator: only the user of the owner process can open it.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note whether the connection is local."""
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family == socket.AF_UNIX:
            self.app_state = {**self.app_state, OPERATOR: True}

    def on_headers_complete(self) -> None:
        """Start a request."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not None and self.cycle is not before:
            self.cycle.__class__ = WholeCycle
