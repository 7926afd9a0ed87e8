"""One SQLite store for each tenant, each in a folder of its own."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.store import Extract, SqliteStore, milliseconds, open_store

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)


class SqliteProvider:
    """Opens `<data_dir>/tenants/<tenant>`; `default` is made where it does not exist."""

    def __init__(
        self,
        data_dir: Path,
        settings: Settings,
        clock: Callable[[], int] | None = None,
        extract: Extract | None = None,
    ) -> None:
        self._tenants, self._settings = data_dir / "tenants", settings
        self._clock, self._extract = clock or milliseconds, extract
        self._stores: dict[str, SqliteStore] = {}
        self._opening = asyncio.Lock()

    def tenants(self) -> list[str]:
        """Return the tenants that have a record, and `default`."""
        found = {folder.name for folder in self._tenants.glob("*") if (folder / "record.db").exists()}
        return sorted(found | {"default"})

    async def open(self, tenant: str) -> SqliteStore:
        """Return the tenant's handle (the same one each time). Raises KeyError for an unknown tenant."""
        async with self._opening:
            if tenant not in self._stores:
                if not _NAME.fullmatch(tenant) or tenant not in self.tenants():
                    raise KeyError(tenant)
                folder = self._tenants / tenant
                self._stores[tenant] = await open_store(folder, self._settings, self._clock, self._extract)
            return self._stores[tenant]

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()
        self._stores.clear()
