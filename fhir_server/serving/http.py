"""uvicorn's HTTP protocol with two additions: a small answer leaves in one write, and header lines that a client sends
again and again on its connection are read once.

ASGI sends head and body as two messages, which are two system calls, and uvicorn looks at each header with two regular
expressions; together that costs as much as the read of a resource. `api/sending` asks for `send_whole` and goes the
ASGI way where a server does not have it.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from fhir_server.api.decode import LINES, OPERATOR
from fhir_server.prompt import started
from fhir_server.serving.stopping import CLOSE

_GET: Final = re.compile(
    rb"GET ((/fhir/[A-Za-z]+/[A-Za-z0-9.\-]+)|/[A-Za-z0-9][A-Za-z0-9._~$/\-]*)(?:\?([!-\"$-~]*))? HTTP/1\.1\r\n"
)
"""A request line in which nothing has to be unescaped: path, the same if it is that of a read, query."""

_STOPPING: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
)
_END: Final = b"\r\n\r\n"
_LONGEST: Final = 4_096
_MOST: Final = 4
_ABOUT_MORE: Final = frozenset((b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade"))
"""Headers after which more comes than a GET and its answer."""


class _Lines(NamedTuple):
    """Header lines as they were read, and what `api` has found out from them."""

    headers: list[tuple[bytes, bytes]]
    found: dict[str, Any]


_OK: Final = STATUS_LINE[200]
_lately: tuple[Sequence[tuple[bytes, bytes]], bytes] = ((), b"")


def _joined(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return headers as bytes; uvicorn makes the list that all answers have anew once a second."""
    global _lately
    if _lately[0] is not fields:
        _lately = fields, b"".join([b"%b: %b\r\n" % field for field in fields])
    return _lately[1]


class WholeCycle(RequestResponseCycle):
    """One request and its answer."""

    def send_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a complete answer, its headers saying how long it is; tell whether that was possible."""
        if self.response_started or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return False
        if CLOSE in self.default_headers:
            return False
        fields = [*self.default_headers, *headers] if self.default_headers else headers
        head = b"\r\n".join([b"%b: %b" % field for field in fields])
        if head.count(b"\n") != len(fields) - 1:
            return False  # a line break within a header: uvicorn refuses it in its own way
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], head, body))
        self.message_event.set()
        self.on_response()
        return True

    def send_bytes(self, data: bytes) -> bool:
        """Write a complete answer, head and all; tell whether that was possible."""
        if self.response_started or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return False
        if CLOSE in self.default_headers or not data.startswith(_OK):
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        fields = _joined(self.default_headers)  # the date, for one
        self.transport.write(b"".join((_OK, fields, memoryview(data)[len(_OK) :])) if fields else data)
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
        self._between, self._idle_since, self._lines = True, 0.0, dict[bytes, _Lines]()
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family == socket.AF_UNIX:
            self.app_state = {**self.app_state, OPERATOR: True}

    def data_received(self, data: bytes) -> None:
        """Take bytes: a whole GET with header lines that are known needs no parser."""
        self._idle_since = 0.0
        get = _GET.match(data) if self._between and self._is_idle() else None
        lines = self._lines.get(data[get.end() :]) if get is not None else None
        if get is not None and lines is not None:
            self._begin(get, lines)
            return
        super().data_received(data)
        if get is not None and self._between and len(self._lines) < _MOST:
            self._learn(data, get.end())

    def _is_idle(self) -> bool:
        """Tell whether there is no request under way, and all that was asked for is answered."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            return False
        return self.limit_concurrency is None and not self.transport.is_closing()

    def _learn(self, data: bytes, at: int) -> None:
        """Remember the header lines of a GET that came alone and was understood."""
        if len(data) - at > _LONGEST or not data.endswith(_END) or data.count(_END) > 1:
            return
        if _ABOUT_MORE.isdisjoint(name for name, _ in self.headers):
            self._lines[data[at:]] = _Lines(list(self.headers), {})

    def _begin(self, get: "re.Match[bytes]", lines: _Lines) -> None:
        """Start a request with header lines that are known."""
        path, read, query = get.groups(b"")
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": lines.headers,
            "state": self.app_state.copy(),
            "method": "GET",
            "path": self.root_path + path.decode(),
            "raw_path": self.root_path.encode() + path,
            "query_string": query,
            LINES: lines.found,
        }
        self.scope = scope
        self.cycle = cycle = WholeCycle(
            scope, self.transport, self.flow, self.logger, self.access_logger, self.access_log,
            self.server_state.default_headers, asyncio.Event(), False, True, self.on_response_complete,
        )  # fmt: skip
        cycle.more_body = False
        cycle.message_event.set()
        if not read or query:
            self._start_asgi_task(cycle, self.app)
        elif task := started(self.loop, cycle.run_asgi(self.app)):
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def handle_websocket_upgrade(self) -> None:
        """Open a WebSocket, unless the process is about to stop."""
        if CLOSE in self.server_state.default_headers:
            self.transport.write(_STOPPING)
            self.transport.close()
            return
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start a request."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not None and self.cycle is not before:
            self.cycle.__class__ = WholeCycle

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._between = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one. One timer serves for all waits of a connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing was asked for so long."""
        self.timeout_keep_alive_task = None
        if not self._idle_since or self.transport.is_closing():
            return  # the answer to what is under way sets the timer again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_for(left)
        else:
            self.transport.close()

    def _wait_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
