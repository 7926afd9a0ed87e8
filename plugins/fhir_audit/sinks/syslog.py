"""Syslog: messages over TLS or TCP, counted in octets.

Spec: https://www.rfc-editor.org/rfc/rfc5424, https://www.rfc-editor.org/rfc/rfc5425
"""

import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

_FACILITY: Final = 13  # log audit
_PORTS: Final = {"tls": 6514, "tcp": 601}
_TIMEOUT: Final = 10.0


class BadTarget(ValueError):
    """A place to which nothing can be sent; the message says why."""


class Syslog:
    """Sends to `tls://host:6514` or `tcp://host:601`.

    Args:
        authority: file of certificates that the other side is checked against; empty: those of the system.
    """

    def __init__(self, target: str, authority: str = "") -> None:
        parts = urlsplit(target)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise BadTarget(f"{target!r} is none of tls://host:port, tcp://host:port")
        self._tls = ssl.create_default_context(cafile=authority or None)
        self._secure = parts.scheme == "tls"
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages. Raises OSError: the other side is not there, or its certificate is not good."""
        with self._connected() as connection:
            connection.sendall(b"".join(b"%d %b" % (len(each), each) for each in messages))

    def _connected(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), timeout=_TIMEOUT)
        if not self._secure:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        except OSError:
            plain.close()
            raise


def message(severity: int, kind: str, data: Mapping[str, object], text: bytes, time: int | None = None) -> bytes:
    """Return a message of the facility for audits; data are names of ours with their values, time in milliseconds."""
    moment = datetime.now(UTC) if time is None else datetime.fromtimestamp(time / 1_000, UTC)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}Z"
    head = f"<{_FACILITY * 8 + severity}>1 {stamp} {socket.gethostname()[:255]} fhir-server - {kind[:32] or '-'} "
    pairs = " ".join(f'{name}="{_escaped(value)}"' for name, value in data.items())
    return (head + f"[audit@32473 {pairs}] ").encode() + b"\xef\xbb\xbf" + text


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
