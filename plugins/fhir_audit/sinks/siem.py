"""The SIEM: every event as a message of syslog with the AuditEvent as JSON, over TLS, TCP, or into a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fhir_audit.sinks.syslog import Syslog, message
from fhir_server.plugin_api import AuditEntry, AuditHead, audit_facts, audit_version

_SEVERITY: Final = {"0": 6, "4": 4, "8": 3, "12": 2}


class Siem:
    """Sends to `tls://host:6514`, `tcp://host:601` or `file:/path`.

    Args:
        authority: file of certificates that the other side is checked against; empty: those of the system.
    """

    name = "siem"

    def __init__(self, target: str, authority: str = "") -> None:
        parts = urlsplit(target)
        self._path = Path(parts.path) if parts.scheme == "file" and parts.path else None
        self._syslog = Syslog(target, authority) if self._path is None else None

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        """Send events. Raises OSError: the other side is not there, or its certificate is not good."""
        if self._syslog is not None:
            self._syslog.send([as_message(tenant, entry) for entry in entries])
        elif self._path is not None:
            with self._path.open("ab") as file:
                file.write(b"".join(_json(entry) + b"\n" for entry in entries))

    def keep(self, tenant: str, head: AuditHead) -> None:
        """Heads are for archives."""


def as_message(tenant: str, entry: AuditEntry) -> bytes:
    """Return an event as a message of syslog."""
    facts = audit_facts(entry)
    data = {"tenant": tenant, "seq": entry.seq}
    return message(_SEVERITY[facts.outcome], facts.code, data, _json(entry), entry.time)


def _json(entry: AuditEntry) -> bytes:
    return audit_version(entry, "").stamped()
