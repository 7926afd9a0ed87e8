"""The register of erasures of a deployment whose nodes share a record, as a file for the data folder of one server.

Its nodes have it as records, with the salt of them all, and each as a file in its own data folder; a server with a data
folder of its own has the file alone. Without it a backup from before the move would bring the erased back.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from fhir_server.privacy.nodes import SALT
from fhir_server.privacy.register import ERASURES
from fhir_server.storage.base import Record
from fhir_server.storage.moving import Installation, Kept
from fhir_server.tenancy.erasures import begin, note, open_register
from fhir_server.tenancy.register import TENANTS
from fhir_server.tenancy.registration import DEFAULT, read_registration

_PAGE: Final = 500
Line = Mapping[str, object]


class OtherRegister(Exception):
    """The register that is there was begun by another installation; the message says what to do."""


async def bring_register(source: Installation, tenants: Sequence[str], path: Path, now: int) -> int | None:
    """Note in the register at `path` all erasures that the records of a source tell of; return how many were not there,
    or None where its nodes never began one.

    Raises:
        OtherRegister: the file is that of another installation, so its hashes are others.
    """
    home = await source.kept(DEFAULT)
    try:
        salts = [record async for record in records_of(home, SALT.name)]
        erased = [
            each.name
            async for record in records_of(home, TENANTS.name)
            if "name" in record.value and (each := read_registration(record.value)).state == "erased"
        ]
    finally:
        await home.close()
    if not salts:
        return None
    lines = [line for tenant in tenants for line in await _erasures(source, tenant)]
    return await asyncio.to_thread(_note, path, bytes.fromhex(str(salts[0].value["salt"])), lines, erased, now)


def _note(path: Path, salt: bytes, lines: Sequence[Line], erased: Sequence[str], now: int) -> int:
    if not path.exists():
        begin(path, salt)
    register = open_register(path)
    if register.salt != salt:
        raise OtherRegister(
            f"{path} is the register of erasures of another installation: move it away and keep it, run the same "
            "again, and give it to `restore --erasures` for backups of that one"
        )
    tenants = [{"subject": register.tenant(name), "time": now, "counts": {}} for name in erased]
    known = {str(line["subject"]): line for line in (*lines, *tenants)}
    fresh = [line for subject, line in known.items() if subject not in register.subjects]
    for line in fresh:
        note(path, line)
    return len(fresh)


async def _erasures(source: Installation, tenant: str) -> list[Line]:
    kept = await source.kept(tenant)
    try:
        found = [record.value async for record in records_of(kept, ERASURES.name)]
        return [{name: value[name] for name in ("subject", "time", "counts", "id")} for value in found]
    finally:
        await kept.close()


async def records_of(kept: Kept, collection: str) -> AsyncIterator[Record]:
    """Yield the records of a collection, as a move reads them; none of one that nobody declared."""
    after: str | None = None
    try:
        while page := await kept.records.find(collection, after=after, limit=_PAGE):
            for record in page:
                yield record
            after = page[-1].key
    except KeyError:
        return
