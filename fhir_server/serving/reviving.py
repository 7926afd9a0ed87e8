"""Making the indexes of restored records before a server opens them: whoever waits for one sees how far it is."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fhir_server.app import extract_by
from fhir_server.serving.worker import quiet
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import connect, faults
from fhir_server.storage.sqlite.ownership import own
from fhir_server.storage.sqlite.revival import lacks_index
from fhir_server.storage.sqlite.store import open_store

Progress = Callable[[int, int], None]


def make_indexes(settings: Settings, progress: Progress) -> int:
    """Make the index of each record of the data folder that lacks one; return of how many resources. A run that was
    stopped goes on where it came to, here or when a server opens the record.

    Raises:
        AlreadyOwned: a server runs on the folder; it has made them.
        EncryptionFault, StoreError: a record cannot be opened.
    """
    with own(settings.data_dir, "the making of a search index"):
        folders = [path.parent for path in sorted(settings.data_dir.glob("tenants/*/record.db"))]
        lacking = [folder for folder in folders if _lacks(folder, settings)]
        if lacking:
            quiet()
        return sum(asyncio.run(_make(folder, settings, progress)) for folder in lacking)


def _lacks(folder: Path, settings: Settings) -> bool:
    with faults(folder.name), closing(connect(folder / "record.db", settings, writer=False)) as connection:
        return lacks_index(connection)


async def _make(folder: Path, settings: Settings, progress: Progress) -> int:
    store = await open_store(folder, settings)
    try:
        return await store.revive(extract_by(settings), progress)
    finally:
        await store.close()
