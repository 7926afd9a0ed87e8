"""Making a tenant that was restored alone known to the data folder that it was restored into."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import apsw

from fhir_server.app import extract_by
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.keyring import FILE as KEYS
from fhir_server.errors import FhirError
from fhir_server.serving.archive_contents import tenant_folder
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, StoreError
from fhir_server.storage.sqlite.archive import catalog
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.backup import RECORD
from fhir_server.storage.sqlite.connection import faults, fetch
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.storage.sqlite.sealing import unlock
from fhir_server.tenancy.register import TENANTS, Register
from fhir_server.tenancy.registration import DEFAULT, Registration, read_registration

_VALUE = "SELECT value FROM record WHERE collection=(SELECT collection FROM collection WHERE name=?) AND key=?"


def need_not_erased(settings: Settings, tenant: str) -> None:
    """See that a tenant may come back. Raises BackupRefused: it was erased, as the data folder knows."""
    if _has_register(settings):
        asyncio.run(_with_register(settings, tenant, None))


def register(archive: Spot, settings: Settings, tenant: str) -> str:
    """Register a tenant where the data folder does not know it, as the archive does; return what there is to be told.

    Raises:
        BackupRefused: its hosts serve others by now.
    """
    known = _archived(archive, settings, tenant)
    try:
        added = asyncio.run(_with_register(settings, tenant, known or Registration(tenant)))
    except StoreError as error:  # such as encryption that is not set up here yet; what was restored is there
        return f"{tenant}: restored, but not registered: {error}"
    if not added:
        return ""
    said = (
        "with its settings and hosts"
        if known
        else "without settings or hosts of its own: the archive does not know them"
    )
    return f"{tenant}: registered {said}"


def _has_register(settings: Settings) -> bool:
    return (settings.data_dir / "tenants" / DEFAULT / RECORD).exists()


async def _with_register(settings: Settings, tenant: str, wanted: Registration | None) -> bool:
    """Add a registration, unless there is one; tell whether that was so."""
    provider = SqliteProvider(settings.data_dir, settings, extract=extract_by(settings))
    try:
        known = Register(settings, partial(provider.open, DEFAULT))
        found = await known.find(tenant)
        if found is not None and found.state == "erased":
            raise BackupRefused(f"the tenant {tenant!r} was erased; an archive does not bring it back")
        if found is None and wanted is not None:
            await known.add(replace(wanted, state="active", serial=0))
        return found is None
    except FhirError as error:
        raise BackupRefused(str(error)) from None
    finally:
        await provider.close()


def _archived(archive: Spot, settings: Settings, tenant: str) -> Registration | None:
    """Return what the newest base backup of the default tenant says of another, which a restore of that one alone does
    not bring."""
    for base in _newest(tenant_folder(archive, DEFAULT)):
        try:
            with ExitStack() as held:
                folder = held.enter_context(base.place.at_hand(base.at, (RECORD, KEYS)))
                held.enter_context(faults())
                connection = apsw.Connection(str(folder / RECORD), apsw.SQLITE_OPEN_READONLY)
                held.callback(connection.close)
                unlock(connection, folder / RECORD, settings)
                rows = fetch(connection, _VALUE, (TENANTS.name, tenant))
            return read_registration(json.loads(rows[0][0])) if rows else None
        except (StoreError, EncryptionFault, OSError, ValueError):
            continue
    return None


def _newest(tenant: Spot) -> Iterator[Spot]:
    for lineage in reversed(catalog.lineages(tenant)):
        yield from (base.spot for base in reversed(catalog.bases(lineage)))
