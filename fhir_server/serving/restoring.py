"""Backups put back into a data folder that nobody owns: all tenants, or one."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from fhir_server.app import extract_by
from fhir_server.errors import FhirError
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.backup import restore as restore_tenant
from fhir_server.storage.sqlite.ownership import own
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import DEFAULT, Registration, is_name, read_registration

REGISTER: Final = "tenants.json"
"""The file of a backup that says what its tenants are, beside their stores."""


def restore(source: Path, data_dir: Path) -> list[str]:
    """Put every tenant of a backup into an empty data folder that nobody owns; return their names.

    Raises:
        BackupRefused: the backup is broken or not one, or the folder is not empty.
    """
    tenants = sorted(folder.name for folder in (source / "tenants").glob("*") if folder.is_dir())
    if not tenants:
        raise BackupRefused(f"{source} is not a backup: it has no tenants")
    if DEFAULT not in tenants:
        raise BackupRefused(f"{source} holds {', '.join(tenants)[:200]} alone: restore with --tenant")
    with own(data_dir, "a restore"):
        for tenant in tenants:
            restore_tenant(source / "tenants" / tenant, data_dir / "tenants" / tenant)
    return tenants


async def restore_one(source: Path, settings: Settings, tenant: str) -> None:
    """Put one tenant of a backup back into a data folder that nobody owns; it must have no files there.

    One that the folder does not know is registered as it was when the backup was made.

    Raises:
        BackupRefused: there is no backup of it, it has files, it was erased, or its hosts serve others.
    """
    folder = settings.data_dir / "tenants" / tenant
    if not is_name(tenant) or not (source / "tenants" / tenant).is_dir():
        raise BackupRefused(f"{source} holds no backup of the tenant {tenant!r}")
    with own(settings.data_dir, "a restore"):
        provider = SqliteProvider(settings.data_dir, settings, extract=extract_by(settings))
        try:
            if tenant == DEFAULT:
                restore_tenant(source / "tenants" / tenant, folder)
                return
            register = Register(settings, partial(provider.open, DEFAULT))
            known = await register.find(tenant)
            if known is not None and known.state == "erased":
                raise BackupRefused(f"the tenant {tenant!r} was erased; a backup does not bring it back")
            restore_tenant(source / "tenants" / tenant, folder)
            if known is None:
                await register.add(replace(_registered(source, tenant), state="active"))
        except FhirError as error:
            raise BackupRefused(str(error)) from None
        finally:
            await provider.close()


def _registered(source: Path, tenant: str) -> Registration:
    """Return what a backup says of a tenant."""
    try:
        found = [read_registration(each) for each in json.loads((source / REGISTER).read_text())]
    except (OSError, ValueError) as error:
        raise BackupRefused(f"{source / REGISTER} cannot be read: {error}") from None
    return next((each for each in found if each.name == tenant), Registration(tenant))
