"""What only the owner of a data folder does: upkeep on the clock, backups, exports, and handing the folder on."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fhir_server.app import extract_by
from fhir_server.audit.keeper import SENT_EVERY, SIGNED_EVERY, Keeper, sinks_of
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.serving.encryption import Resealing, catch_up
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.backup import BackupRefused
from fhir_server.storage.sqlite.backup import restore as restore_tenant
from fhir_server.storage.sqlite.ownership import AlreadyOwned, Owner, own, owner_of
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.store import milliseconds

__all__ = ["AlreadyOwned", "BackupRefused", "Maintenance", "Owner", "own", "owner_of", "restore"]

logger = logging.getLogger(__name__)
_SWEEP_EVERY = 60.0
_EXPORT_PAGE = 1_000


class Maintenance:
    """The owner's handle on every tenant of a data folder."""

    def __init__(self, provider: SqliteProvider, reseal: Resealing) -> None:
        self._provider, self._reseal = provider, reseal

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator["Maintenance"]:
        """Open the folder's stores (an older format is migrated here, once, and a rotation of keys is finished), and
        close them after."""
        await asyncio.to_thread(catch_up, settings)
        provider = SqliteProvider(settings.data_dir, settings, extract=extract_by(settings))
        try:
            await provider.open("default")
            yield cls(provider, Resealing(settings))
        finally:
            await provider.close()

    async def empty(self) -> bool:
        """Tell whether nothing was ever written."""
        return await (await self._provider.open("default")).last_txid() == 0

    async def status(self) -> dict[str, Any]:
        """Return what commands show: tenants and the number of current resources by type of the default one."""
        store = await self._provider.open("default")
        return {
            "tenants": self._provider.tenants(),
            "txid": await store.last_txid(),
            "resources": dict(await store.statistics()),
        }

    async def backup(self, target: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Copy every tenant into a new or empty folder while the server goes on."""
        done: dict[str, Any] = {}
        for tenant in self._provider.tenants():
            store = await self._provider.open(tenant)
            done[tenant] = asdict(await store.backup(target / "tenants" / tenant, progress))
        return done

    async def export(self, type_: str) -> AsyncIterator[bytes]:
        """Yield the current resources of one type as NDJSON, all of one instant."""
        store = await self._provider.open("default")
        search = Search({type_: EVERYTHING}, count=_EXPORT_PAGE)
        while True:
            page = await store.search(search)
            yield b"".join(version.stamped() + b"\n" for version in page.versions)
            if page.next is None:
                return
            search = Search({type_: EVERYTHING}, count=_EXPORT_PAGE, after=page.next)

    async def upkeep(self) -> None:
        """Sweep what page links can no longer ask for, for as long as this runs."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            for tenant in self._provider.tenants():
                try:
                    await (await self._provider.open(tenant)).sweep()
                    await asyncio.to_thread(self._reseal, tenant)
                except Exception:  # upkeep must outlive one bad round; the next one tries again
                    logger.exception("sweep of tenant %s failed", tenant)

    async def keep_audit(self, settings: Settings) -> None:
        """Sign the audit logs and send what is new in them, for as long as this runs; idle tenants are left alone."""
        keeper, seen = Keeper(sinks_of(settings), milliseconds), dict[tuple[str, str], int]()
        for number in itertools.count(1):
            await asyncio.sleep(SENT_EVERY)
            work = [("send", keeper.look)] + ([("sign", keeper.sign)] if number % SIGNED_EVERY == 0 else [])
            for tenant in self._provider.tenants():
                for name, step in work:
                    changed = _changed(settings.data_dir / "tenants" / tenant)
                    if seen.get((tenant, name)) == changed:
                        continue
                    try:
                        await step(tenant, await self._provider.open(tenant))
                        seen[tenant, name] = changed
                    except Exception:  # as above
                        logger.exception("the audit of tenant %s cannot be kept", tenant)


def _changed(folder: Path) -> int:
    """Return when a record was last written to, in nanoseconds."""
    files = (folder / "record.db", folder / "record.db-wal")
    return max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)


def restore(source: Path, data_dir: Path) -> list[str]:
    """Put every tenant of a backup into an empty data folder that nobody owns; return their names.

    Raises:
        BackupRefused: the backup is broken or not one, or the folder is not empty.
    """
    tenants = sorted(folder.name for folder in (source / "tenants").glob("*") if folder.is_dir())
    if not tenants:
        raise BackupRefused(f"{source} is not a backup: it has no tenants")
    with own(data_dir, "a restore"):
        for tenant in tenants:
            restore_tenant(source / "tenants" / tenant, data_dir / "tenants" / tenant)
    return tenants
