"""The registers of erasures of several nodes: one salt, and in each file all erasures, whichever node made them."""

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from fhir_server.privacy.register import ERASURES
from fhir_server.storage.base import Collection, RecordChange, RecordChanged, Store, Where
from fhir_server.tenancy.erasures import begin, new_salt, note, note_tenant, open_register

_log = logging.getLogger("fhir_server.privacy")
SALT: Final = Collection("privacy.salt")
_KEY: Final = "salt"
_PAGE: Final = 500
_LATE: Final = 600_000
"""Milliseconds for which an erasure may come to the store after its own time, or clocks of nodes may differ."""


async def agree(home: Store, path: Path) -> bool:
    """Have the register of this node begin as that of the first node did; False where it began otherwise."""
    await home.declare(SALT)
    record = await home.records.get(SALT.name, _KEY)
    if record is None:
        change = RecordChange(SALT.name, _KEY, {"salt": _salt_of(path).hex()}, expected=0)
        with suppress(RecordChanged):  # another node was first
            await home.commit((), (change,))
        record = await home.records.get(SALT.name, _KEY)
    assert record is not None
    if _begun_with(path, bytes.fromhex(str(record.value["salt"]))):
        return True
    _log.error(
        "%s was begun by another installation, so erasures of other nodes cannot be noted in it; "
        "move it away and keep it: `privacy replay --register` reads it after a restore", path,
    )  # fmt: skip
    return False


async def note_others(store: Store, path: Path, since: int) -> int:
    """Note what other nodes have erased in a tenant since a time; return the time of the newest erasure."""
    await store.declare(ERASURES)
    known, newest, offset = _ids(path), since, 0
    while page := await store.records.find(
        ERASURES.name, (Where("time", ">=", since - _LATE),), order="time", limit=_PAGE, offset=offset
    ):
        for record in page:
            newest = max(newest, int(str(record.value["time"])))
            if record.key not in known:
                note(path, {name: record.value[name] for name in ("subject", "time", "counts", "id")})
        offset += len(page)
    return newest


def note_tenants(names: Iterable[str], path: Path, now: int) -> None:
    """Note the tenants that any node has erased."""
    for name in names:
        note_tenant(path, name, now, {})


def _salt_of(path: Path) -> bytes:
    """Return the salt of a register, or that of one which is not begun before all nodes know it."""
    return open_register(path).salt if path.exists() else new_salt()


def _begun_with(path: Path, salt: bytes) -> bool:
    if not path.exists():
        begin(path, salt)
    return open_register(path).salt == salt


def _ids(path: Path) -> set[str]:
    return {json.loads(line).get("id", "") for line in path.read_text().splitlines() if line.strip()}
