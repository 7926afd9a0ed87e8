"""The SIEM: every event as a message of syslog with the AuditEvent as JSON, over TLS, TCP, or into a file.

Spec: https://www.rfc-editor.org/rfc/rfc5424, https://www.rfc-editor.org/rfc/rfc5425 (octet counting)
"""

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fhir_server.audit.events import Event, event_of
from fhir_server.audit.export import fhir_line
from fhir_server.audit.ledger import Head
from fhir_server.model.version import instant
from fhir_server.storage.audit import AuditEntry

_FACILITY: Final = 13  # log audit
_SEVERITY: Final = {"0": 6, "4": 4, "8": 3, "12": 2}
_PORTS: Final = {"tls": 6514, "tcp": 601}
_TIMEOUT: Final = 10.0


class BadTarget(ValueError):
    """A place to which events cannot be sent; the message says why."""


class Siem:
    """Sends to `tls://host:6514`, `tcp://host:601` or `file:/path`.

    Args:
        authority: file of certificates that the other side is checked against; empty: those of the system.
    """

    name = "siem"

    def __init__(self, target: str, authority: Path | None = None) -> None:
        parts = urlsplit(target)
        if parts.scheme == "file" and parts.path:
            self._path: Path | None = Path(parts.path)
        elif parts.scheme in _PORTS and parts.hostname:
            self._path = None
        else:
            raise BadTarget(f"{target!r} is none of tls://host:port, tcp://host:port, file:/path")
        self._tls = ssl.create_default_context(cafile=str(authority) if authority else None)
        self._secure = parts.scheme == "tls"
        self._host, self._port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        """Send events. Raises OSError: the other side is not there, or its certificate is not good."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(b"".join(fhir_line(entry) for entry in entries))
            return
        messages = [message(tenant, entry) for entry in entries]
        with self._connected() as connection:
            connection.sendall(b"".join(b"%d %b" % (len(each), each) for each in messages))

    def keep(self, tenant: str, head: Head) -> None:
        """Heads are for the archive."""

    def _connected(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), timeout=_TIMEOUT)
        if not self._secure:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        except OSError:
            plain.close()
            raise


def message(tenant: str, entry: AuditEntry) -> bytes:
    """Return an event as a message of syslog."""
    event = event_of(entry)
    priority = _FACILITY * 8 + _SEVERITY[event.outcome]
    head = f"<{priority}>1 {instant(entry.time)} {socket.gethostname()[:255]} fhir-server - {_kind(event)} "
    data = f'[audit@32473 tenant="{tenant}" seq="{entry.seq}"] '
    return (head + data).encode() + b"\xef\xbb\xbf" + fhir_line(entry).rstrip(b"\n")


def _kind(event: Event) -> str:
    return event.code[:32] or "-"
