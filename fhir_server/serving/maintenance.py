"""What only the owner of a data folder does: upkeep on the clock, backups, exports, and handing the folder on."""

import asyncio
import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from fhir_server.app import ENGINES, definitions_of
from fhir_server.audit.keeper import SENT_EVERY, SIGNED_EVERY, Keeper
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugin_host.migrations import migrate, undo, waiting
from fhir_server.plugins import load_plugins
from fhir_server.search.query import EVERYTHING, Cursor, Search
from fhir_server.serving.archiving import Archiving
from fhir_server.serving.encryption import Resealing, catch_up
from fhir_server.serving.restoring import REGISTER, restore, restore_one
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, Lead, Store, StoreProvider
from fhir_server.storage.sqlite.ownership import AlreadyOwned, Owner, own, owner_of
from fhir_server.storage.sqlite.store import milliseconds
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import DEFAULT

__all__ = [
    "AlreadyOwned", "BackupRefused", "Maintenance", "Owner", "milliseconds", "own", "owner_of", "restore",
    "restore_one",
]  # fmt: skip

logger = logging.getLogger(__name__)
_SWEEP_EVERY = 60.0
_EXPORT_PAGE = 1_000
_FIRST = 2**62  # a row before all others, newest first
_UPKEEP = "upkeep"
"""The name under which the owner of a data folder leads the others."""


class KeptStore(Store, Protocol):
    """What the owner of a store does with it beside what everybody does."""

    async def sweep(self) -> int:
        """Take out of the index what no page link can ask for; return of how many versions."""

    async def envelop(self) -> int:
        """Go on with what brings old bodies under the keys of their patients; return how many are left."""

    async def backup(self, target: Path, progress: Callable[[int, int], None], patient_keys: Path | None = None) -> Any:
        """Copy the store while it goes on. Raises BackupRefused."""

    async def upgrade(self, *, finish: bool) -> tuple[int, int]:
        """Return the format of the store and that of this release; `finish`: bring it up."""


class Maintenance:
    """The owner's handle on every tenant of a data folder."""

    def __init__(self, provider: StoreProvider, settings: Settings) -> None:
        self._provider, self._settings, self._reseal = provider, settings, Resealing(settings)
        self._register = Register(settings, partial(provider.open, DEFAULT))
        self._working: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        archived = settings.storage == "sqlite" and settings.backup_archive is not None
        self._archiving = Archiving(settings, provider.tenants) if archived else None

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator["Maintenance"]:
        """Open the folder's stores (an older format is migrated here, once, and a rotation of keys is finished), and
        close them after."""
        if settings.storage == "sqlite":
            await asyncio.to_thread(catch_up, settings)
        provider = ENGINES[settings.storage](settings, milliseconds, definitions_of(settings))
        try:
            await provider.open(DEFAULT)
            yield cls(provider, settings)
        finally:
            await provider.close()

    def lend(self, tenant: str) -> AbstractAsyncContextManager[KeptStore]:
        """Give the store of a tenant for a while. Raises KeyError: there is none."""
        return self._lent(tenant)

    async def written(self) -> dict[str, float]:
        """Return when each tenant that has a store was last written to."""
        names = await asyncio.to_thread(self._provider.tenants)
        return {name: await asyncio.to_thread(self._provider.written, name) for name in names}

    async def erased(self) -> list[str]:
        """Return the tenants that were erased."""
        await self._register.refresh()
        return [name for name, known in self._register.known.items() if known.state == "erased"]

    def now(self) -> int:
        """Return the milliseconds since 1970 UTC."""
        return milliseconds()

    def ring(self, name: str) -> None:
        """Have the process that runs the feed look at a tenant."""
        self._provider.ring(name)

    def alone(self, name: str) -> AbstractAsyncContextManager[Lead]:
        """Wait until no other node does what has this name, then be the one that does while the context lasts."""
        return self._provider.lead(name)

    async def led(self, *works: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do what one node does for all, whenever it is this one, for as long as this runs."""
        while True:
            async with self.alone(_UPKEEP) as lead:
                tasks = [asyncio.create_task(_kept_on(work)) for work in works]
                try:
                    await lead.lost.wait()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def empty(self) -> bool:
        """Tell whether nothing was ever written."""
        return await (await self._provider.open(DEFAULT)).last_txid() == 0

    async def status(self, tenant: str = DEFAULT) -> dict[str, Any]:
        """Return what commands show: all tenants, and the number of current resources by type of one.

        Raises:
            KeyError: there is no such tenant.
        """
        async with self._lent(tenant) as store:
            return {
                "tenants": self._provider.tenants(),
                "txid": await store.last_txid(),
                "resources": dict(await store.statistics()),
            }

    async def backup(
        self, target: Path, progress: Callable[[int, int], None], tenant: str = "", patient_keys: Path | None = None
    ) -> dict[str, Any]:
        """Copy every tenant, or one, into a new or empty folder while the server goes on."""
        done: dict[str, Any] = {}
        for name in [tenant] if tenant else self._provider.tenants():
            async with self._lent(name) as store:
                done[name] = asdict(await store.backup(target / "tenants" / name, progress, patient_keys))
        await self._register.refresh()
        known = [asdict(self._register.known[name]) for name in done if name in self._register.known]
        (target / REGISTER).write_text(json.dumps(known, indent=1))
        return done

    async def archive(self) -> None:
        """Keep the archive of backups for as long as this runs, where there is one."""
        if self._archiving is not None:
            await self._archiving.run()

    async def base(self, progress: Callable[[int, int], None], tenant: str = "") -> dict[str, Any]:
        """Make a base backup of every tenant, or one, in the archive now. Raises BackupRefused."""
        if self._archiving is None:
            raise BackupRefused("the server that owns the folder keeps no archive: set backup_archive (docs/backup.md)")
        names = self._provider.tenants()
        if tenant and tenant not in names:
            raise KeyError(tenant)
        names = [tenant] if tenant else names
        return {name: asdict((await self._archiving.base(name, progress)).facts) for name in names}

    async def upgrade(self, action: str) -> dict[str, dict[str, Any]]:
        """Return how far each tenant is upgraded; `finish` what waits, or bring records of plugins `back`.

        Raises:
            ValueError: there is no way back.
        """
        assembly = Assembly(load_plugins(self._settings))
        collections, migrations = assembly.collections(), assembly.values("register_migrations")
        told: dict[str, dict[str, Any]] = {}
        for name in self._provider.tenants():
            async with self._lent(name) as store, self._provider.lead(f"migrate-{name}"):
                undone = await undo(store, collections, migrations) if action == "back" else []
                if action == "finish":
                    await migrate(store, collections, migrations, finish=True)
                format_, known = await store.upgrade(finish=action == "finish")
                waits = await waiting(store, collections, migrations)
            told[name] = {"format": format_, "known": known, "waiting": waits, "undone": undone}
        return told

    async def rekey(self) -> list[str]:
        """Go on at once with a rotation of keys; return the tenants of which something is left for later."""
        names = self._provider.tenants()
        for name in names:
            await asyncio.to_thread(self._reseal, name)
        return await asyncio.to_thread(lambda: [name for name in names if self._reseal.waits(name)])

    async def export(self, type_: str, tenant: str = DEFAULT, txid: int | None = None) -> AsyncIterator[bytes]:
        """Yield the current resources of one type as NDJSON, all of one instant: that of a commit, so that several
        types can be of the same."""
        async with self._lent(tenant) as store:
            after = Cursor(await store.last_txid() if txid is None else txid, (), _FIRST)
            search: Search | None = Search({type_: EVERYTHING}, count=_EXPORT_PAGE, after=after)
            while search is not None:
                page = await store.search(search)
                yield b"".join(version.stamped() + b"\n" for version in page.versions)
                search = replace(search, after=page.next) if page.next else None

    async def upkeep(self) -> None:
        """Sweep what page links can no longer ask for, for as long as this runs.

        Only tenants that were written since the last round are opened, and closed again.
        """
        seen = {name: time.time() for name in self._provider.tenants() if name != DEFAULT}
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            for name in self._provider.tenants():
                try:
                    await self._look_after(name, seen)
                except Exception:  # upkeep must outlive one bad round; the next one tries again
                    logger.exception("sweep of tenant %s failed", name)

    async def _look_after(self, name: str, seen: dict[str, float]) -> None:
        known = await self._register.find(name)
        if known is not None and known.state == "erased":
            await self._provider.remove(name)  # whoever erased it was cut off, or a late request made files anew
            return
        if name == DEFAULT or self._provider.written(name) > seen.get(name, 0):
            async with self._lent(name) as store:
                await store.sweep()
                await store.envelop()
            seen[name] = self._provider.written(name)
        if self._settings.storage == "sqlite":
            await asyncio.to_thread(self._reseal, name)

    async def keep_audit(self, settings: Settings) -> None:
        """Sign the audit logs and send what is new in them, for as long as this runs; idle tenants are left alone."""
        sinks = [sink for _, sink in load_plugins(settings).registered("register_audit_sinks")]
        keeper, seen = Keeper(sinks, milliseconds, settings.audit_years), dict[tuple[str, str], float]()
        for tenant in self._provider.tenants():
            if tenant != DEFAULT:  # not opened before it is written again, unless a sink may wait for what it has
                changed = self._provider.written(tenant)
                seen.update({(tenant, name): changed for name in (("sign",) if sinks else ("sign", "send"))})
        for number in itertools.count(1):
            await asyncio.sleep(SENT_EVERY)
            work = [("send", keeper.look)] + ([("sign", keeper.sign)] if number % SIGNED_EVERY == 0 else [])
            for tenant in self._provider.tenants():
                for name, step in work:
                    try:
                        changed = self._provider.written(tenant)
                        if seen.get((tenant, name)) == changed:
                            continue
                        async with self._lent(tenant) as store:
                            await step(tenant, store)
                        seen[tenant, name] = changed
                    except KeyError:
                        continue  # erased meanwhile
                    except Exception:  # as above
                        logger.exception("the audit of tenant %s cannot be kept", tenant)

    @asynccontextmanager
    async def _lent(self, name: str) -> AsyncIterator[KeptStore]:
        """Give the store of a tenant; all but the default one are closed when nobody here works with them."""
        async with self._turn:
            store = cast(KeptStore, await self._provider.open(name))
            self._working[name] += 1
        try:
            yield store
        finally:
            async with self._turn:
                self._working[name] -= 1
                if name != DEFAULT and not self._working[name]:
                    await self._provider.shut(name)


async def _kept_on(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Begin work again where it fails as a whole, such as while there is no list of tenants."""
    while True:
        try:
            return await work()
        except Exception:  # as in upkeep
            logger.exception("what this node does for all failed; it begins again")
            await asyncio.sleep(_SWEEP_EVERY)
