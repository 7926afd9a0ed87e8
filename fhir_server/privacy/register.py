"""The register of erasures: who was erased, as a keyed hash, when, and how much it was.

It stands as records in the store, and as lines in a file that a restore reads: a backup is older than the erasures that
came after it, so only what outlives the store can say what must go again.
"""

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.storage.base import Collection, RecordChange, RecordField

ERASURES: Final = Collection("privacy.erasures", (RecordField("time", "integer"),))
NAME: Final = "erasures.ndjson"
_SALT: Final = 32


@dataclass(frozen=True, slots=True)
class Register:
    """The register of one installation; `subjects` are the hashes of those erased.

    The salt is drawn once for each register, so a hash tells nobody who it is who has not the register too.
    """

    salt: bytes
    subjects: frozenset[str] = frozenset()

    def subject(self, tenant: str, patient: str) -> str:
        """Return the hash of a patient."""
        return hmac.new(self.salt, f"{tenant}|Patient/{patient}".encode(), sha256).hexdigest()


def path_of(ctx: Context) -> Path | None:
    """Return where the file is; None for a store that does not outlive the process."""
    if not ctx.store.capabilities.durable:
        return None
    return ctx.settings.erasure_register or ctx.settings.data_dir / NAME


def open_register(path: Path | None) -> Register:
    """Read the register, which is begun where there is none. Raises ValueError for a file that is none."""
    if path is None:
        return Register(_VOLATILE)
    if not path.exists():
        _begin(path)
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    if not lines or "salt" not in lines[0]:
        raise ValueError(f"{path} is no register of erasures")
    return Register(bytes.fromhex(lines[0]["salt"]), frozenset(line["subject"] for line in lines[1:]))


async def enter(ctx: Context, subject: str, counts: Mapping[str, int]) -> str:
    """Note an erasure, in the file first; return its id."""
    id_ = ctx.new_id()
    line = {"subject": subject, "time": ctx.now(), "counts": dict(counts), "id": id_}
    path = path_of(ctx)
    if path is not None:
        _append(path, json.dumps(line).encode() + b"\n")
    await ctx.store.declare(ERASURES)
    value: dict[str, Any] = {**line, "by": ctx.caller.name}
    await ctx.store.commit((), (RecordChange(ERASURES.name, id_, value),))
    return id_


_VOLATILE: Final = secrets.token_bytes(_SALT)


def _begin(path: Path) -> None:
    """Make the file with its salt; of two who try at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _append(made, json.dumps({"salt": secrets.token_hex(_SALT)}).encode() + b"\n")
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
