"""One SQLite store for each tenant, each in a folder of its own."""

import asyncio
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final

from fhir_server.settings import Settings
from fhir_server.storage.base import Lead
from fhir_server.storage.sqlite.bell import Bell
from fhir_server.storage.sqlite.connection import connect, faults
from fhir_server.storage.sqlite.envelope_keys import remove_keys
from fhir_server.storage.sqlite.history import head
from fhir_server.storage.sqlite.leading import lead
from fhir_server.storage.sqlite.reserve import ROOM, free_in
from fhir_server.storage.sqlite.store import Extract, SqliteStore, milliseconds, open_store
from fhir_server.telemetry.health import Check, Finding
from fhir_server.telemetry.numbers import STORE_BYTES, WRITERS
from fhir_server.telemetry.sharing import Sampled, sample_by

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_DEFAULT: Final = "default"
_GONE: Final = ".erased-"


class SqliteProvider:
    """Opens `<data_dir>/tenants/<tenant>`; `default` is made where it does not exist.

    Space for a full disk is kept back by `default` alone: so much for each of a thousand tenants would fill it.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: Settings,
        clock: Callable[[], int] | None = None,
        extract: Extract | None = None,
    ) -> None:
        self._tenants, self._settings = data_dir / "tenants", settings
        self._others = settings.model_copy(update={"reserve_bytes": 0})
        self._clock, self._extract = clock or milliseconds, extract
        self._stores: dict[str, SqliteStore] = {}
        self._opening = asyncio.Lock()
        self._folder, self._bell = data_dir, Bell(data_dir)
        sample_by(self._sampled)

    def _sampled(self) -> Iterator[Sampled]:
        """Say how large the records are that are open, and how many commits wait."""
        total = Counter[str]()
        for store in tuple(self._stores.values()):
            total.update(store.weight())
        yield WRITERS, total.pop("waiting", 0), ()
        for part, size in total.items():
            yield STORE_BYTES, size, (part,)

    def ring(self, tenant: str) -> None:
        """Have the process that listens look at a tenant."""
        self._bell.ring(tenant)

    def listen(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Have `heard(tenant)` called for each ring; in the process that leads `background`."""
        return self._bell.listen(heard)

    def lead(self, name: str) -> AbstractAsyncContextManager[Lead]:
        """Lead under a name while the context lasts; the kernel passes it on when the process dies."""
        return lead(self._folder, name)

    def health_checks(self) -> Sequence[Check]:
        """Return what `/health/ready` asks: whether writes go through, and the clock."""
        return (Check("writes", self._writes),)

    async def _writes(self) -> Finding:
        found = [store.health() for store in tuple(self._stores.values())]
        free, wanted = free_in(self._folder), ROOM * self._settings.reserve_bytes
        if not all(each.reserve for each in found) and free < wanted:
            said = f"the disk of the data folder is full: {free} bytes are free, writes are taken from {wanted} on"
            return Finding("degraded", said, {"free_bytes": free})
        if any(each.fault for each in found):
            return Finding("degraded", "the last write to a record failed; the log says why")
        if any(each.clock_ahead or each.clock_behind for each in found):
            return Finding("degraded", "the clock of the machine is wrong; the log says by how much")
        return Finding()

    async def head(self, tenant: str) -> int:
        """Return the txid of a tenant's newest version; a store that is closed stays so. Raises KeyError."""
        if not self.exists(tenant):
            raise KeyError(tenant)
        return await asyncio.to_thread(self._head, tenant)

    def _head(self, tenant: str) -> int:
        with faults():
            connection = connect(self._tenants / tenant / "record.db", self._settings, writer=False)
            try:
                return head(connection)
            finally:
                connection.close()

    def tenants(self) -> list[str]:
        """Return the tenants that have a record, and `default`."""
        found = {folder.name for folder in self._tenants.glob("[a-z0-9]*") if (folder / "record.db").exists()}
        return sorted(found | {_DEFAULT})

    def exists(self, tenant: str) -> bool:
        """Tell whether a tenant has a record."""
        return tenant == _DEFAULT or (
            _NAME.fullmatch(tenant) is not None and (self._tenants / tenant / "record.db").exists()
        )

    async def open(self, tenant: str) -> SqliteStore:
        """Return the tenant's handle (the same one each time). Raises KeyError for an unknown tenant."""
        async with self._opening:
            if tenant not in self._stores:
                if not self.exists(tenant):
                    raise KeyError(tenant)
                self._stores[tenant] = await self._opened(tenant)
            return self._stores[tenant]

    async def create(self, tenant: str) -> SqliteStore:
        """Return the handle of a tenant, whose record is made where there is none. Raises KeyError: no name."""
        if not _NAME.fullmatch(tenant):
            raise KeyError(tenant)
        async with self._opening:
            if tenant not in self._stores:
                self._stores[tenant] = await self._opened(tenant)
            return self._stores[tenant]

    async def shut(self, tenant: str) -> None:
        """Close the handle of one tenant; the next `open` opens it again."""
        async with self._opening:
            store = self._stores.pop(tenant, None)
            if store is not None:
                await store.close()

    async def remove(self, tenant: str) -> None:
        """Remove all files of a tenant, whose handles are closed in all processes."""
        if tenant == _DEFAULT or not _NAME.fullmatch(tenant):
            raise KeyError(tenant)
        await self.shut(tenant)
        await asyncio.to_thread(self.erase, tenant)

    def erase(self, tenant: str) -> None:
        """Remove the files of a tenant that nobody has open, the default one's too, with the keys of its patients."""
        _remove(self._tenants, tenant)
        remove_keys(self._settings, tenant)

    def size(self, tenant: str) -> int:
        """Return the bytes of a tenant's files."""
        return sum(
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(self._tenants / tenant)
            for name in names
            if os.path.exists(os.path.join(folder, name))
        )

    def written(self, tenant: str) -> float:
        """Return when a tenant's record was last written, in seconds since 1970; 0 for none."""
        times = (_time(self._tenants / tenant / name) for name in ("record.db", "record.db-wal"))
        return max(times)

    def is_open(self, tenant: str) -> bool:
        """Tell whether there is a handle here."""
        return tenant in self._stores

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()
        self._stores.clear()
        self._bell.close()

    async def _opened(self, tenant: str) -> SqliteStore:
        settings = self._settings if tenant == _DEFAULT else self._others
        store = await open_store(self._tenants / tenant, settings, self._clock, self._extract)
        store.changed = partial(self._bell.ring, tenant)
        return store


def _remove(tenants: Path, tenant: str) -> None:
    """Take the folder away under another name first, so that no process opens half a record."""
    if (tenants / tenant).exists():
        (tenants / tenant).rename(tenants / f"{_GONE}{tenant}-{secrets.token_hex(4)}")
    for folder in tenants.glob(f"{_GONE}{tenant}-*"):
        shutil.rmtree(folder)


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
