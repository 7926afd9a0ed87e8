"""Access tokens for benchmarks, put into the store of a data folder before its server starts."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from fhir_server.app import extract_by, now
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.records import COLLECTIONS
from fhir_server.auth.tokens import new_tokens
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.tenancy.registration import DEFAULT

SYSTEM: Mapping[str, str] = {"scopes": "system/*.cruds"}


def bearer(folder: Path, grant: Mapping[str, str] = SYSTEM) -> str:
    """Return the value of an Authorization header that is good for an hour; `grant`: fields of the grant."""
    return f"Bearer {asyncio.run(_token(folder, grant))}"


async def _token(folder: Path, grant: Mapping[str, str]) -> str:
    settings = Settings(data_dir=folder, demo=False)
    stores = SqliteProvider(folder, settings, now, extract_by(settings))
    try:
        store = await stores.open(DEFAULT)
        for collection in COLLECTIONS:
            await store.declare(collection)
        desk = Desk(store, settings, "", "", now)
        made = new_grant(desk, "bench", **grant)
        pair = new_tokens(desk, made, refreshing=False)
        await desk.put(stored(made), *pair.changes)
        return pair.access
    finally:
        await stores.close()
