"""The archive: rows as files that are never changed, with the signed heads that vouch for them.

Made for a folder that can only be added to (a WORM share). What stands there verifies the log of the server:
`fhir-server audit verify --heads FOLDER`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from fhir_server.plugin_api import AuditEntry, AuditHead, audit_head_line, audit_line


class Archive:
    """A folder with a folder for each tenant."""

    name = "archive"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        """Write rows as one file. Raises OSError."""
        _write_once(self._folder / tenant / rows_name(entries), rows_of(entries))

    def keep(self, tenant: str, head: AuditHead) -> None:
        """Write a head. Raises OSError."""
        _write_once(self._folder / tenant / head_name(head), audit_head_line(head))


def rows_name(entries: Sequence[AuditEntry]) -> str:
    """Return the name of a file with these rows."""
    return f"{entries[0].seq:015d}-{entries[-1].seq:015d}.jsonl"


def head_name(head: AuditHead) -> str:
    """Return the name of the file of a head."""
    return f"{head.size:015d}.head.json"


def rows_of(entries: Sequence[AuditEntry]) -> bytes:
    """Return a line for each row."""
    return b"".join(audit_line(entry) for entry in entries)


def _write_once(path: Path, data: bytes) -> None:
    """Write a file that does not exist yet; one that was cut short by a kill has another name and stays behind."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o440)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
