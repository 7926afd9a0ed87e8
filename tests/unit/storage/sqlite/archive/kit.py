"""A store with an archive, and what a restore of it to an instant answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.archive.basing import make_base
from fhir_server.storage.sqlite.archive.catalog import NEWEST, Base, Until
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.replay import Restored, restore_to
from fhir_server.storage.sqlite.archive.shipping import Shipper
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.conformance.storage.world import extract
from tests.unit.storage.sqlite.kit import FAST, Clock


@dataclass(slots=True)
class Place:
    """A data folder and its archive."""

    settings: Settings
    clock: Clock

    @property
    def live(self) -> Path:
        return self.settings.data_dir / "tenants" / "default"

    @property
    def tenant(self) -> Path:
        """The same where it is a folder."""
        assert isinstance(self.settings.backup_archive, Path)
        return self.settings.backup_archive / "tenants" / "default"

    @property
    def archive(self) -> Spot:
        assert self.settings.backup_archive is not None
        return open_archive(self.settings.backup_archive, self.settings)

    @property
    def kept(self) -> Spot:
        """What the archive has of the tenant."""
        return self.archive / "tenants" / "default"

    def shipper(self) -> Shipper:
        self.archive.place.begin()
        return Shipper(self.live, self.kept, self.settings)

    def base(self) -> Base:
        return make_base(self.live, self.kept, self.settings, lambda done, of: None)

    def segments(self) -> list[Path]:
        return sorted(self.tenant.glob("2*/segments/*/*.seg"))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[SqliteStore]:
        store = await open_store(self.live, self.settings, self.clock, extract)
        try:
            yield store
        finally:
            await store.close()

    def restore(self, name: str, until: Until = NEWEST) -> Restored:
        return restore_to(self.kept, self.folder(name), self.elsewhere(name), until)

    def folder(self, name: str) -> Path:
        return self.elsewhere(name).data_dir / "tenants" / "default"

    def elsewhere(self, name: str) -> Settings:
        folder = self.settings.data_dir.with_name(name)
        (folder / "tenants").mkdir(parents=True, exist_ok=True)
        return self.settings.model_copy(update={"data_dir": folder, "backup_archive": None})

    @asynccontextmanager
    async def restored(self, name: str, until: Until = NEWEST) -> AsyncIterator[SqliteStore]:
        """A store of what the archive leads to, checked."""
        self.restore(name, until)
        store = await open_store(self.folder(name), self.elsewhere(name), self.clock, extract)
        try:
            assert await store.check() == []
            yield store
        finally:
            await store.close()


def place(folder: Path, settings: Settings = FAST) -> Place:
    """Make one in a folder."""
    values = {"data_dir": folder / "data", "backup_archive": settings.backup_archive or folder / "archive"}
    return Place(settings.model_copy(update=values), Clock())
