"""The archive of a data folder, kept by its owner: what is committed goes there every few seconds, bases on the clock.

Nothing here stops the server: where the archive cannot be written, what is committed waits on the local disk, an alarm
is raised, and it is tried again. docs/backup.md
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, TypeVar

from fhir_server.alerts import Alert, raise_alert
from fhir_server.aside import aside
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.serving.archive_contents import left, prune_all, restorable, tenant_folder
from fhir_server.serving.archiving_claim import Claim
from fhir_server.serving.archiving_identity import Identity
from fhir_server.serving.archiving_state import BackupState, write_state
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, StoreError
from fhir_server.storage.sqlite.archive import catalog, segments
from fhir_server.storage.sqlite.archive.basing import make_base
from fhir_server.storage.sqlite.archive.catalog import Base, Facts
from fhir_server.storage.sqlite.archive.kinship import WAY_OUT
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.archive.pruning import Pruned
from fhir_server.storage.sqlite.archive.shipping import Round, Shipper
from fhir_server.storage.sqlite.backup import RECORD
from fhir_server.tenancy.erasures import NAME, complete, place_of
from fhir_server.tenancy.registration import DEFAULT

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)
_PATIENCE: Final = 30.0  # seconds after which an archive that does not answer is told of
_MUCH: Final = (
    256_000_000  # bytes since the last base that are worth another, if they are more than it: RTO grows by them
)
_RESTS: Final = 600.0  # seconds between two such
_AGAIN: Final = 60.0  # seconds until a base that failed is tried again
_LOOK: Final = 5.0  # seconds that a start waits for an archive to tell whether it has what the data folder lacks
_HOUR: Final = 3600.0
_FAILS: Final = (StoreError, BackupRefused, EncryptionFault, OSError)


class Archiving:
    """The rounds of one data folder. `tenants` tells which there are."""

    def __init__(self, settings: Settings, tenants: Callable[[], list[str]]) -> None:
        assert settings.backup_archive is not None
        self._archive = open_archive(settings.backup_archive, settings)
        self._settings, self._tenants = settings, tenants
        self._shippers: dict[str, Shipper] = {}
        self._rounds: dict[str, Round] = {}
        self._bases: dict[str, float] = {}
        self._facts: dict[str, Facts] = {}
        self._since: Counter[str] = Counter()
        self._basing: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._failing: dict[str, str] = {}
        self._complete = 0.0
        self._registered: object = None
        self._turn, self._base_turn = asyncio.Lock(), asyncio.Lock()
        self._under_way: dict[str, asyncio.Future[Any]] = {}
        me = f"{socket.gethostname()}:{settings.data_dir.resolve()}"
        self._claim = Claim(self._archive, me, settings.backup_every, Identity(settings.data_dir, self._archive))
        self._begun = 0

    async def run(self) -> None:
        """Keep the archive for as long as this runs, and bring the last of it there at the end."""
        try:
            while True:
                try:
                    await self.round()
                    self._begin_base()
                except Exception as error:  # it must outlive one bad round; the next one tries again
                    _log.exception("a round of the archive failed")
                    self._fail("round", repr(error))
                await asyncio.sleep(self._settings.backup_every)
        finally:
            await self._end()

    async def _end(self) -> None:
        """Bring the last of it there, for as long as a stop may take: what is not there then waits on this disk."""
        last = asyncio.create_task(self._last())
        if not (await asyncio.wait([last], timeout=self._settings.backup_stop_grace))[0]:
            waits = sum(shipper.waiting() for shipper in self._shippers.values())
            _log.warning("the archive of backups does not answer; %d bytes wait for the next start", waits)
        tasks = [task for task in (last, self._basing) if task is not None]
        for task in tasks:
            task.cancel()  # its thread ends with the process
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _last(self) -> None:
        await self.round()
        if self._basing is not None:
            await asyncio.wait([self._basing])
        await self._guarded("archive", self._claim.release)

    async def round(self) -> BackupState:
        """Bring what every tenant has committed to the archive; return how it is then."""
        async with self._turn:
            begun, shippers = time.time(), {name: self._shipper(name) for name in self._tenants()}
            await self._guarded("archive", self._claim.take)
            if "archive" not in self._failing:
                self._look_again()
                for name, shipper in shippers.items():
                    await self._ship(name, shipper)
                await self._guarded("register of erasures", self._copy_register)
            if not self._failing and not any(each.needs_base for each in self._rounds.values()):
                self._complete = begun
            state = self._state()
            if "archive" not in self._failing:
                complete = {"complete_until": self._complete} if self._complete else {}  # else what was said stays true
                await self._guarded("state", partial(self._claim.tell, {**complete, "failing": state.failing}))
            write_state(self._settings, state)
            return state

    def _look_again(self) -> None:
        """Ask the archive for all that is known of it, where it may be another one than in the last round."""
        if self._begun != self._claim.begun:
            self._begun, self._registered = self._claim.begun, None
            self._bases.clear()
            self._rounds.clear()
            for shipper in self._shippers.values():
                shipper.look_again()

    async def base(self, tenant: str, progress: Callable[[int, int], None] = lambda done, of: None) -> Base:
        """Make a base backup of a tenant now, and remove what is older than what is kept. Raises BackupRefused,
        StoreError, OSError."""
        async with self._base_turn:
            await self.round()  # begins a lineage where there is none
            refused = self._failing.get("archive") or (tenant not in self._rounds and self._failing.get(tenant))
            if refused:
                raise BackupRefused(refused)
            folder, target = self._settings.data_dir / "tenants" / tenant, tenant_folder(self._archive, tenant)
            made = await aside(partial(make_base, folder, target, self._settings, progress))
            self._bases[tenant], self._facts[tenant], self._since[tenant] = made.facts.made / 1000, made.facts, 0
            self._shipper(tenant).based()
            for what in (f"base of {tenant}", f"spool of {tenant}"):
                self._failing.pop(what, None)
            async with self._turn:  # what a round takes into the archive must not look unused meanwhile
                await aside(partial(self._prune, set(self._tenants())))
            return made

    def _prune(self, there: Collection[str]) -> None:
        gone = prune_all(self._archive, self._settings.backup_keep, there)
        if any(each != Pruned() for each in gone.values()) and (said := left(self._archive, gone)):
            _log.info("%s", said)

    async def _ship(self, name: str, shipper: Shipper) -> None:
        before = self._rounds.get(name)
        whole = before is not None and not before.waiting and not before.needs_base and name not in self._failing
        if shipper.idle() and whole:
            return
        try:
            done = await self._answer(name, shipper.round)
            if name not in self._bases:
                await self._answer(name, partial(self._learn, name))
            self._rounds[name] = done
            self._since[name] += done.shipped
            self._failing.pop(name, None)
        except Exception as error:  # whatever is wrong with one tenant, the others are looked after
            if not isinstance(error, _FAILS):
                _log.exception("tenant %s cannot be archived", name)
            self._fail(name, _said(error))
            self._bound(name, shipper)

    async def _answer(self, what: str, run: Callable[[], T]) -> T:
        """Do one thing with the archive on a thread, and wait for its end, however long that takes; nothing of a name
        runs beside what was begun before under it."""
        if what in self._under_way:
            await self._wait_for(what)
        self._under_way[what] = work = asyncio.ensure_future(aside(run))
        await self._wait_for(what)
        return work.result()

    async def _wait_for(self, what: str) -> None:
        while not (await asyncio.wait([self._under_way[what]], timeout=_PATIENCE))[0]:
            self._fail(what, "it does not answer")
            for name, shipper in self._shippers.items():
                self._bound(name, shipper)
            write_state(self._settings, self._state())
        self._under_way.pop(what).exception()  # seen, whether anybody asks for it or not

    def _bound(self, name: str, shipper: Shipper) -> None:
        """Let what waits not fill the disk."""
        if shipper.waiting() > self._settings.backup_spool_bytes:
            shipper.give_up()
            said = "what waited for the archive was dropped: a restore lacks it until the next base backup"
            self._fail(f"spool of {name}", said)

    def _fail(self, what: str, said: str) -> None:
        self._failing[what] = said
        raise_alert(Alert("backup-behind", "default", f"{what}: the archive of backups is behind: {said}", what))

    def _begin_base(self) -> None:
        if self._basing is not None and not self._basing.done():
            return
        due = [name for name in self._rounds if self._due(name)]
        if due and "archive" not in self._failing and time.monotonic() >= self._not_before:
            self._basing = asyncio.create_task(self._make_base(due[0]))

    def _due(self, name: str) -> bool:
        if self._rounds[name].needs_base or not self._bases[name]:
            return True
        age, facts = time.time() - self._bases[name], self._facts[name]
        old = age > self._settings.backup_base_every * _HOUR and self._rounds[name].number > facts.number
        return old or (age > _RESTS and self._since[name] > max(_MUCH, facts.size))

    def _learn(self, name: str) -> None:
        """See what the archive of a tenant has."""
        lineage = catalog.lineages(tenant_folder(self._archive, name))[-1:]
        known = [base for each in lineage for base in catalog.bases(each)]
        self._bases[name] = known[-1].facts.made / 1000 if known else 0.0
        if known:
            self._facts[name] = known[-1].facts
            after = (each for each in segments.listed(lineage[0]) if each.first > known[-1].facts.number)
            self._since[name] += sum(each.size for each in after)

    async def _make_base(self, name: str) -> None:
        _log.info("a base backup of tenant %s begins: %s", name, self._rounds[name].needs_base or "it is time")
        try:
            made = await self.base(name)
            _log.info("the base backup of tenant %s took %.1f s", name, made.facts.seconds)
        except Exception as error:  # of any kind: it must not be tried again at once
            if not isinstance(error, _FAILS):
                _log.exception("the base backup of tenant %s failed", name)
            self._not_before = time.monotonic() + _AGAIN
            self._fail(f"base of {name}", _said(error))

    async def _guarded(self, what: str, run: Callable[[], None]) -> None:
        try:
            await self._answer(what, run)
            self._failing.pop(what, None)
        except OSError as error:
            self._fail(what, str(error))

    def _copy_register(self) -> None:
        """Keep the register of erasures with the archive: who was erased must not come back with it."""
        path = place_of(self._settings)
        try:
            seen = path.stat().st_mtime_ns, path.stat().st_size
        except FileNotFoundError:
            return
        if seen != self._registered:
            if not complete(self._archive / NAME, path):
                copy = self._archive / NAME
                raise OSError(
                    f"{copy} is of another data folder, and is left alone: restore that, or begin a new archive"
                )
            self._registered = seen

    def _state(self) -> BackupState:
        waiting = sum(shipper.waiting() for shipper in self._shippers.values())
        failing = "; ".join(f"{what}: {said}" for what, said in sorted(self._failing.items()))
        oldest = min((self._bases.get(name, 0.0) for name in self._rounds), default=0.0)
        return BackupState(time.time(), self._complete, oldest, waiting, failing)

    def _shipper(self, name: str) -> Shipper:
        if name not in self._shippers:
            folder, target = self._settings.data_dir / "tenants" / name, tenant_folder(self._archive, name)
            self._shippers[name] = Shipper(folder, target, self._settings)
        return self._shippers[name]


async def need_restored(settings: Settings) -> None:
    """See that an empty data folder is not served where its archive has what it lacks: whoever reads would be told that
    there is nothing, and what is written would be lost by the restore.

    Raises:
        BackupRefused: it must be restored first. An archive that does not answer now keeps nobody from serving.
    """
    if settings.storage != "sqlite" or settings.backup_archive is None:
        return
    archive = open_archive(settings.backup_archive, settings)
    if (settings.data_dir / "tenants" / DEFAULT / RECORD).exists():
        return
    try:
        lost = await asyncio.wait_for(aside(partial(restorable, archive)), _LOOK)
    except (OSError, TimeoutError) as error:
        _log.warning("whether %s has what %s lacks cannot be told: %r", archive, settings.data_dir, error)
        return
    if lost:
        raise BackupRefused(f"{settings.data_dir} is empty, and {archive} holds {', '.join(lost)[:200]}: {WAY_OUT}")


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, _FAILS) else type(error).__name__
