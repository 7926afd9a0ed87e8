"""The archive: rows as files that are never changed, with the signed heads that vouch for them.

Made for a folder that can only be added to (a WORM share, a bucket with Object Lock that is mounted). What stands there
verifies the log of the server: `fhir-server audit verify --heads FOLDER`.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from fhir_server.audit.export import plain_line
from fhir_server.audit.ledger import Head
from fhir_server.storage.audit import AuditEntry

HEAD = ".head.json"


class Archive:
    """A folder with a folder for each tenant."""

    name = "archive"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        """Write rows as one file. Raises OSError."""
        name = f"{entries[0].seq:015d}-{entries[-1].seq:015d}.jsonl"
        _write_once(self._folder / tenant / name, b"".join(plain_line(entry) for entry in entries))

    def keep(self, tenant: str, head: Head) -> None:
        """Write a head. Raises OSError."""
        line = msgspec.json.encode(asdict(head)) + b"\n"
        _write_once(self._folder / tenant / f"{head.size:015d}{HEAD}", line)


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
