"""uvicorn's HTTP protocol with additions: header lines that a client sends again and again on its connection are read
once; a head without end is refused, and one that does not come to its end is not waited for.

uvicorn looks at each header with two regular expressions, which costs as much as a part of the read of a resource.
"""

import asyncio
import re
import socket
from typing import Any, Final, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_server.api.decode import LINES, OPERATOR
from fhir_server.prompt import started
from fhir_server.serving.cycle import WholeCycle
from fhir_server.serving.stopping import CLOSE
from fhir_server.settings import Settings

_GET: Final = re.compile(
    rb"GET ((/fhir/[A-Za-z]+/[A-Za-z0-9.\-]+)|/[A-Za-z0-9][A-Za-z0-9._~$/\-]*)(?:\?([!-\"$-~]*))? HTTP/1\.1\r\n"
)
"""A request line in which nothing has to be unescaped: path, the same if it is that of a read, query."""

_STOPPING: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
)
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_INVALID: Final = "this is no HTTP request"
_END: Final = b"\r\n\r\n"
_LONGEST: Final = 4_096
_LINGER: Final = 1.0
"""Seconds in which a client that still sends may read why it is refused: closed at once, it would see a reset."""

_READ: Final = 262_144
"""Most bytes that come at once: a head is counted from its second piece on, as the first may begin with a body."""

_MOST: Final = 4
_ABOUT_MORE: Final = frozenset((b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade"))
"""Headers after which more comes than a GET and its answer."""


class _Lines(NamedTuple):
    """Header lines as they were read, and what `api` has found out from them."""

    headers: list[tuple[bytes, bytes]]
    found: dict[str, Any]


class WholeProtocol(HttpToolsProtocol):
    """One connection; its requests become `WholeCycle`s before their task first runs.

    Who reaches the Unix socket in the data folder is the operator: only the user of the owner process can open it.

    Attributes:
        most_bytes, most_lines: of a request line and its headers; more are refused with 431.
        patience: seconds in which a head that was begun must be there.
    """

    most_bytes: int = 81_920
    most_lines: int = 200
    patience: float = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note whether the connection is local."""
        super().connection_made(transport)
        self._between, self._lines = True, dict[bytes, _Lines]()
        self._head_since, self._bytes, self._over, self._declined = 0.0, 0, False, False
        self._begin_to_wait()
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family == socket.AF_UNIX:
            self.app_state = {**self.app_state, OPERATOR: True}

    def data_received(self, data: bytes) -> None:
        """Take bytes: a whole GET with header lines that are known needs no parser."""
        if self._over:
            return
        self._idle_since = 0.0
        get = _GET.match(data) if self._between and self._is_idle() else None
        lines = self._lines.get(data[get.end() :]) if get is not None else None
        if get is not None and lines is not None:
            self._begin(get, lines)
            return
        self._feed(data)
        if self._over:
            return
        if not self._between:
            self._look_at_rest(len(data))
        elif self._is_idle():
            self._begin_to_wait()
        if get is not None and self._between and len(self._lines) < _MOST:
            self._learn(data, get.end())

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        rest = data
        while rest and not self._over:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._upgrade(rest[upgrade.args[0] :])
            except httptools.HttpParserError:
                self._over = True
                self.send_400_response(_INVALID)

    def _upgrade(self, rest: bytes) -> bytes:
        """Open a WebSocket. What offers another protocol, as Java's client does, is read as if it did not: return it.

        Spec: https://www.rfc-editor.org/rfc/rfc9110#section-7.8
        """
        if not self._declined or self.parser.get_method() == b"CONNECT":
            if not self._over and self._declined:
                self.send_400_response(_INVALID)
            elif not self._over:
                self.handle_websocket_upgrade()
            self._over = True
            return b""
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join((line, *kept, b"\r\n", rest))

    def _look_at_rest(self, more: int) -> None:
        """Refuse what is not whole and too large already; wait for the rest of another head, but not for ever."""
        self._bytes += more
        if self._bytes > self.most_bytes:
            self._refuse()
        elif self._head_since:
            self._wait_for(self._head_since + self.patience - self.loop.time())
        elif self._is_idle():
            self._begin_to_wait()

    def _refuse(self) -> None:
        """Say that a head is too large, and close."""
        self._over = True
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            if not self.transport.can_write_eof():
                self.transport.close()
                return
            self.transport.write_eof()
            self.loop.call_later(_LINGER, self.transport.close)

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
        self._head_since, self._bytes = self.loop.time(), -_READ
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is none (RFC 9110 6.5.1)."""
        if self._head_since:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, unless its head was refused."""
        self._bytes = -_READ
        if not self._over:
            super().on_body(body)

    def on_headers_complete(self) -> None:
        """Start a request."""
        self._head_since = 0.0
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if self._over or size > self.most_bytes or len(self.headers) > self.most_lines:
            self._refuse()
            return
        self._declined = self.parser.should_upgrade() and not self._should_upgrade()
        if self._declined:
            return
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not None and self.cycle is not before:
            self.cycle.__class__ = WholeCycle

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._between = True
        if not self._over and not self._declined:
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
        self._begin_to_wait()

    def _begin_to_wait(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing was asked for so long, or nothing that came to its end."""
        self.timeout_keep_alive_task = None
        since, patience = self._idle_since, float(self.timeout_keep_alive)
        if self._head_since and self._is_idle():
            since, patience = self._head_since, self.patience
        if not since or self.transport.is_closing():
            return  # the answer to what is under way sets the timer again
        left = since + patience - self.loop.time()
        if left > 0:
            self._wait_for(left)
        else:
            self.transport.close()

    def _wait_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


def protocol_of(settings: Settings) -> type[WholeProtocol]:
    """Return the protocol with the limits of the settings."""

    class Limited(WholeProtocol):
        most_bytes = settings.max_url + settings.max_head
        most_lines = settings.max_headers
        patience = float(settings.read_timeout)

    return Limited
