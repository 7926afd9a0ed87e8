"""uvicorn's request and answer, with an answer that leaves in one write.

ASGI sends head and body as two messages, which are two system calls. `api/sending` asks for `send_whole` and goes the
ASGI way where a server does not have it.
"""

from collections.abc import Sequence
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from fhir_server.serving.stopping import CLOSE

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
