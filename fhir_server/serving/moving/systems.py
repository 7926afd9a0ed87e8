"""The code systems that all nodes of a deployment had in common, as files for the data folder of one server."""

from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from fhir_server.serving.moving.erasures import records_of
from fhir_server.storage.base import StorageDamaged
from fhir_server.storage.moving import Installation
from fhir_server.storage.sqlite.durable import make_folder, sync
from fhir_server.tenancy.registration import DEFAULT
from fhir_server.terminology.systems.layout import SUFFIX
from fhir_server.terminology.systems.shared import SYSTEMS

_DRAFT: Final = ".moving"


async def bring_systems(source: Installation, folder: Path) -> list[str]:
    """Write those that are not there; return their names. Raises StorageDamaged, OSError."""
    home = await source.kept(DEFAULT)
    try:
        brought = []
        async for record in records_of(home, SYSTEMS.name):
            path = folder / record.key
            if _is_wanted(path, folder):
                await _fetch(await home.blob(str(record.value["blob"])), path, str(record.value["sha256"]))
                brought.append(record.key)
        return brought
    finally:
        await home.close()


def _is_wanted(path: Path, folder: Path) -> bool:
    return path.parent == folder and path.name.endswith(SUFFIX) and not path.exists()


async def _fetch(chunks: AsyncIterator[bytes], path: Path, wanted: str) -> None:
    make_folder(path.parent)
    draft, digest = path.with_name(f".{path.name}{_DRAFT}"), sha256()
    append = partial(_append, draft)
    draft.unlink(missing_ok=True)
    async for chunk in chunks:
        digest.update(chunk)
        append(chunk)
    if digest.hexdigest() != wanted:
        raise StorageDamaged(f"the file of the code system {path.name} is not what was published")
    sync(draft)
    draft.replace(path)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
