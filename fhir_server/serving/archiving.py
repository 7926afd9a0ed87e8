"""The archive of a data folder, kept by its owner: what is committed goes there every few seconds, bases on the clock.

Nothing here stops the server: where the archive cannot be written, what is committed waits on the local disk, an alarm
is raised, and it is tried again. docs/backup.md
"""

import asyncio
import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from fhir_server.alerts import Alert, raise_alert
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, StoreError
from fhir_server.storage.sqlite.archive import catalog, segments
from fhir_server.storage.sqlite.archive.basing import make_base
from fhir_server.storage.sqlite.archive.catalog import Base, Facts
from fhir_server.storage.sqlite.archive.pruning import Pruned, prune
from fhir_server.storage.sqlite.archive.shipping import Round, Shipper
from fhir_server.tenancy.erasures import NAME, place_of

_log: Final = logging.getLogger(__name__)
STATE: Final = "backup.json"
ALIVE: Final = "alive.json"
_PATIENCE: Final = 30.0  # seconds after which an archive that does not answer is told of
_MUCH: Final = (
    256_000_000  # bytes since the last base that are worth another, if they are more than it: RTO grows by them
)
_RESTS: Final = 600.0  # seconds between two such
_AGAIN: Final = 60.0  # seconds until a base that failed is tried again
_SETTLED: Final = 1.0  # seconds in which a claim of an archive shows to whoever claims it too
_HOUR: Final = 3600.0
_FAILS: Final = (StoreError, BackupRefused, EncryptionFault, OSError)


@dataclass(frozen=True, slots=True)
class BackupState:
    """How the archive is, for health and metrics; times in seconds since 1970.

    at: the last round. complete_until: all that was committed by then is in the archive (0: nothing yet). last_base:
    when the oldest of the newest base backups of all tenants was made (0: one has none). waiting_bytes: what waits on
    the local disk. failing: why it is behind; empty while all is well.
    """

    at: float
    complete_until: float = 0.0
    last_base: float = 0.0
    waiting_bytes: int = 0
    failing: str = ""


def read_state(settings: Settings) -> BackupState | None:
    """Return how the archive is, None where there is none or its first round is not done."""
    if settings.backup_archive is None:
        return None
    try:
        return BackupState(**json.loads((settings.data_dir / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def tenant_folder(archive: Path, tenant: str) -> Path:
    """Return where the archive of a tenant is."""
    return archive / "tenants" / tenant


class Archiving:
    """The rounds of one data folder. `tenants` tells which there are."""

    def __init__(self, settings: Settings, tenants: Callable[[], list[str]]) -> None:
        assert settings.backup_archive is not None
        self._archive, self._settings, self._tenants = settings.backup_archive, settings, tenants
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
        self._claimed = False
        self._turn, self._base_turn = asyncio.Lock(), asyncio.Lock()
        self._me = f"{socket.gethostname()}:{settings.data_dir.resolve()}"

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
            if self._basing is not None:
                await asyncio.wait([self._basing], timeout=_PATIENCE)
            await self.round()

    async def round(self) -> BackupState:
        """Bring what every tenant has committed to the archive; return how it is then."""
        async with self._turn:
            begun = time.time()
            await self._guarded("archive", self._claim)
            if "archive" not in self._failing:
                for name in self._tenants():
                    await self._ship(name)
                await self._guarded("register of erasures", self._copy_register)
            if not self._failing and not any(each.needs_base for each in self._rounds.values()):
                self._complete = begun
            state = self._state()
            if "archive" not in self._failing:
                await self._guarded("state", partial(self._tell, state))
            _replace(self._settings.data_dir / STATE, asdict(state))
            return state

    async def base(self, tenant: str, progress: Callable[[int, int], None] = lambda done, of: None) -> Base:
        """Make a base backup of a tenant now, and remove what is older than what is kept. Raises BackupRefused,
        StoreError, OSError."""
        async with self._base_turn:
            await self.round()  # begins a lineage where there is none
            if "archive" in self._failing:
                raise BackupRefused(self._failing["archive"])
            folder, target = self._settings.data_dir / "tenants" / tenant, tenant_folder(self._archive, tenant)
            made = await asyncio.to_thread(make_base, folder, target, self._settings, progress)
            self._bases[tenant], self._facts[tenant], self._since[tenant] = made.facts.made / 1000, made.facts, 0
            self._shipper(tenant).based()
            for what in (f"base of {tenant}", f"spool of {tenant}"):
                self._failing.pop(what, None)
            async with self._turn:  # what a round takes into the archive must not look unused meanwhile
                await asyncio.to_thread(prune_all, self._archive, self._settings.backup_keep, set(self._tenants()))
            return made

    async def _ship(self, name: str) -> None:
        shipper = self._shipper(name)
        before = self._rounds.get(name)
        done = before is not None and not before.waiting and not before.needs_base and name not in self._failing
        if shipper.idle() and done:
            return
        working = asyncio.ensure_future(asyncio.to_thread(shipper.round))
        try:
            while not (await asyncio.wait([working], timeout=_PATIENCE))[0]:
                self._fail(name, "it does not answer")
                self._bound(name, shipper)
        except asyncio.CancelledError:
            await asyncio.wait([working], timeout=_PATIENCE)  # the last round must not run beside this one
            raise
        try:
            self._rounds[name] = working.result()
            self._since[name] += self._rounds[name].shipped
            self._failing.pop(name, None)
        except Exception as error:  # whatever is wrong with one tenant, the others are looked after
            if not isinstance(error, _FAILS):
                _log.exception("tenant %s cannot be archived", name)
            self._fail(name, _said(error))
            self._bound(name, shipper)

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
        if name not in self._bases:
            self._learn(name)
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
            self._since[name] += sum(each.path.stat().st_size for each in after)

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
            await asyncio.to_thread(run)
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
            copy, data = self._archive / NAME, path.read_bytes()
            if copy.exists() and copy.read_bytes().splitlines()[:1] != data.splitlines()[:1]:
                raise OSError(
                    f"{copy} is of another data folder, and is left alone: restore that, or begin a new archive"
                )
            segments.replace(copy, data)
            self._registered = seen

    def _state(self) -> BackupState:
        waiting = sum(shipper.waiting() for shipper in self._shippers.values())
        failing = "; ".join(f"{what}: {said}" for what, said in sorted(self._failing.items()))
        oldest = min((self._bases.get(name, 0.0) for name in self._rounds), default=0.0)
        return BackupState(time.time(), self._complete, oldest, waiting, failing)

    def _claim(self) -> None:
        """Refuse an archive that another server keeps at the moment."""
        self._archive.mkdir(parents=True, exist_ok=True, mode=0o700)
        said = self._unclaimed()
        if not self._claimed:  # of two that begin at the same moment, the one that wrote last keeps it
            _replace(self._archive / ALIVE, {**said, "by": self._me, "at": time.time()})
            time.sleep(min(_SETTLED, self._settings.backup_every))
            self._unclaimed()
            self._claimed = True

    def _unclaimed(self) -> dict[str, Any]:
        said = _alive(self._archive)
        other = said.get("by", self._me)
        if other != self._me and time.time() - float(said.get("at", 0)) < 10 * self._settings.backup_every:
            self._claimed = False
            raise OSError(f"another server keeps the archive {self._archive}: {other}")
        return said

    def _tell(self, state: BackupState) -> None:
        """Say in the archive that it is kept, by whom, and until when it is complete."""
        said = {"complete_until": state.complete_until, "failing": state.failing, "at": state.at, "by": self._me}
        _replace(self._archive / ALIVE, said)

    def _shipper(self, name: str) -> Shipper:
        if name not in self._shippers:
            folder, target = self._settings.data_dir / "tenants" / name, tenant_folder(self._archive, name)
            self._shippers[name] = Shipper(folder, target, self._settings)
        return self._shippers[name]


def complete_until(archive: Path) -> float:
    """Return until when an archive says that it is complete, in seconds since 1970; 0 where it does not say."""
    return float(_alive(archive).get("complete_until", 0.0))


def prune_all(archive: Path, days: int, there: Collection[str]) -> dict[str, Pruned]:
    """Remove what only leads to instants that are more days ago; blocks. `there`: the tenants that exist."""
    before = int((time.time() - days * 24 * _HOUR) * 1000)
    return {name: prune(tenant_folder(archive, name), before, gone=name not in there) for name in archived(archive)}


def archived(archive: Path) -> list[str]:
    """Return the tenants that an archive has something of."""
    folders = (archive / "tenants").glob("[a-z0-9]*")
    return sorted(folder.name for folder in folders if catalog.lineages(folder))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, _FAILS) else type(error).__name__


def _alive(archive: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((archive / ALIVE).read_text())
    except (OSError, ValueError):
        return {}
    return found


def _replace(path: Path, value: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value))
    draft.replace(path)
