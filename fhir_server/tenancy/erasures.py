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
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.archive.places.place import Spot, Taken

NAME: Final = "erasures.ndjson"
_SALT: Final = 32
_TRIES: Final = 5
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
    copy = open_archive(settings.backup_archive, settings) / NAME
    bringing = aside(partial(complete, copy, place_of(settings)))
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(bringing, _PATIENCE)


def complete(copy: Spot, register: Path) -> bool:
    """Give a copy what it lacks; tell of one of another installation, which is left alone, by False. Raises OSError."""
    for _ in range(_TRIES):
        data = register.read_bytes()
        try:
            known, mark = copy.place.marked(copy.at)
        except FileNotFoundError:
            known, mark = b"", ""
        if known and known.splitlines()[:1] != data.splitlines()[:1]:
            return False
        if known.count(b"\n") >= data.count(b"\n"):
            return True
        with suppress(Taken):  # by another process with another erasure
            copy.place.put_if(copy.at, data, mark)
            return True
    raise OSError(f"{copy} is written by others all the time")


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
