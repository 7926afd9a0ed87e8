"""The file of erasures, which outlives the stores: who was erased, and which tenants, as keyed hashes.

A restore reads it: a backup is older than the erasures that came after it.
"""

import asyncio
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from fhir_server.aside import aside
from fhir_server.settings import Settings

NAME: Final = "erasures.ndjson"
_SALT: Final = 32
_PATIENCE: Final = 5.0  # seconds in which the archive of backups has an erasure, or has it with its next round


@dataclass(frozen=True, slots=True)
class Erasures:
    """The register of one installation; `subjects` are the hashes of those erased.

    The salt is drawn once for each register, so a hash tells nobody who it is who has not the register too.
    """

    salt: bytes
    subjects: frozenset[str] = frozenset()

    def subject(self, tenant: str, patient: str) -> str:
        """Return the hash of a patient."""
        return self._hash(f"{tenant}|Patient/{patient}")

    def tenant(self, name: str) -> str:
        """Return the hash of a whole tenant."""
        return self._hash(f"{name}|")

    def _hash(self, text: str) -> str:
        return hmac.new(self.salt, text.encode(), sha256).hexdigest()


_VOLATILE: Final = secrets.token_bytes(_SALT)


def place_of(settings: Settings) -> Path:
    """Return where the file is."""
    return settings.erasure_register or settings.data_dir / NAME


def open_register(path: Path | None) -> Erasures:
    """Read the register, which is begun where there is none; without a path, one that nobody keeps.

    Raises:
        ValueError: the file is none.
    """
    if path is None:
        return Erasures(_VOLATILE)
    if not path.exists():
        begin(path, new_salt())
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    if not lines or "salt" not in lines[0]:
        raise ValueError(f"{path} is no register of erasures")
    return Erasures(bytes.fromhex(lines[0]["salt"]), frozenset(line["subject"] for line in lines[1:]))


def note(path: Path, line: Mapping[str, object]) -> None:
    """Note an erasure, durable when this returns."""
    _append(path, json.dumps(line).encode() + b"\n")


def note_tenant(path: Path, name: str, time: int, counts: Mapping[str, object]) -> None:
    """Note that a tenant is erased, unless that is known. Raises ValueError, OSError."""
    register = open_register(path)
    if register.tenant(name) not in register.subjects:
        note(path, {"subject": register.tenant(name), "time": time, "counts": dict(counts)})


async def bring(settings: Settings) -> None:
    """Bring the register to the archive of backups, if there is one, now: its next round may never come.

    An archive that does not answer keeps nobody waiting: its rounds raise the alarm and try again.
    """
    if settings.backup_archive is None:
        return
    bringing = aside(partial(_complete, settings.backup_archive / NAME, place_of(settings)))
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(bringing, _PATIENCE)


def _complete(copy: Path, register: Path) -> None:
    """Add to a copy what it lacks; one of another installation is left alone."""
    lines = register.read_bytes().splitlines(keepends=True)
    known = copy.read_bytes().splitlines(keepends=True) if copy.exists() else []
    if copy.parent.is_dir() and known[:1] in ([], lines[:1]) and len(known) < len(lines):
        _append(copy, b"".join(lines[len(known) :]))


def new_salt() -> bytes:
    """Draw the salt of a register."""
    return secrets.token_bytes(_SALT)


def begin(path: Path, salt: bytes) -> None:
    """Make the file with a salt; of two who try at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _append(made, json.dumps({"salt": salt.hex()}).encode() + b"\n")
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
