"""A tenant that is restored alone from an archive is known to the data folder that it comes to."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from fhir_server.serving.archiving import Archiving
from fhir_server.serving.recovery import Wish, restore_archive
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import Registration
from tests.unit.storage.sqlite.kit import put


async def with_register(settings: Settings, *changes: tuple[str, dict[str, str]]) -> dict[str, Registration]:
    """Register or change tenants; return those that are known then."""
    provider = SqliteProvider(settings.data_dir, settings)
    try:
        register = Register(settings, partial(provider.open, "default"))
        for name, values in changes:
            if await register.find(name) is None:
                await register.add(Registration(name))
                await (await provider.create(name)).commit([put("Patient/a")])
            await register.change(name, **values)
        await register.refresh()
        return register.known
    finally:
        await provider.close()


async def archived(settings: Settings) -> None:
    """Make an archive of the default tenant, which knows two others, and of one of them."""
    await with_register(settings, ("ward", {"display": "Ward 1", "state": "suspended"}), ("gone", {}))
    keeper = Archiving(settings, lambda: ["default", "gone", "ward"])
    for name in ("default", "gone", "ward"):
        await keeper.base(name)
    await with_register(settings, ("gone", {"state": "erased"}))
    await keeper.round()


def place(folder: Path, **values: object) -> Settings:
    base = {"data_dir": folder, "durable": False, "reserve_bytes": 0, "backup_every": 0.02, **values}
    return Settings.model_validate(base)


def test_a_tenant_that_is_restored_alone_is_registered_as_the_archive_knows_it(tmp_path: Path) -> None:
    archive, told = tmp_path / "archive", list[str]()
    asyncio.run(archived(place(tmp_path / "data", backup_archive=archive)))
    settings = place(tmp_path / "other")
    done = restore_archive(open_archive(archive, settings), settings, Wish(tenant="ward"), told.append)
    assert done["ward"].txid == 1 and told == ["ward: registered with its settings and hosts"]
    known = asyncio.run(with_register(settings))["ward"]
    assert (known.display, known.state) == ("Ward 1", "active")


def test_a_tenant_that_was_erased_or_is_none_is_not_restored(tmp_path: Path) -> None:
    archive, settings = tmp_path / "archive", place(tmp_path / "data")
    asyncio.run(archived(place(tmp_path / "data", backup_archive=archive)))
    with pytest.raises(BackupRefused, match="'gone' was erased; an archive does not bring it back"):
        restore_archive(open_archive(archive, settings), settings, Wish(tenant="gone"))
    for name in ("../default", "other"):
        with pytest.raises(BackupRefused, match="holds nothing of the tenant"):
            restore_archive(open_archive(archive, settings), settings, Wish(tenant=name))
