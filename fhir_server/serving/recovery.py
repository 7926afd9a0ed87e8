"""Restoring a data folder from its archive, to an instant; for the command and for the drill."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from fhir_server.encryption import rotation
from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.serving.archive_contents import archived, tenant_folder
from fhir_server.serving.recovery_register import need_not_erased, register
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import catalog
from fhir_server.storage.sqlite.archive.catalog import NEWEST, Until, plan
from fhir_server.storage.sqlite.archive.kinship import overshadowed
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.replay import Restored, restore_to
from fhir_server.storage.sqlite.durable import make_folder, sync
from fhir_server.storage.sqlite.envelope_keys import place_keys
from fhir_server.storage.sqlite.ownership import own
from fhir_server.tenancy.erasures import NAME, place_of
from fhir_server.tenancy.registration import DEFAULT

__all__ = ["Restored", "Until", "Wish", "bring_register", "instant_of", "is_archive", "restore_archive"]

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?")


def is_archive(archive: Spot) -> bool:
    """Tell whether something is an archive, not a single backup. Raises OSError."""
    return bool(archived(archive))


def instant_of(text: str) -> int:
    """Return an instant in milliseconds; one without a zone is of UTC. Raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is no instant, such as 2026-11-22T17:05:00Z")
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored: until when, of one tenant or (empty) of all, and by the recovery key where the master key
    is lost."""

    until: Until = NEWEST
    tenant: str = ""
    recovery: RecoveryKey | None = None


def restore_archive(
    archive: Spot, settings: Settings, wish: Wish, say: Callable[[str], None] = lambda text: None
) -> dict[str, Restored]:
    """Restore an archive into the data folder of the settings, which nobody owns.

    A tenant that there was not yet at the instant is left out, and told.

    Raises:
        BackupRefused: the archive does not lead there, is damaged, or the folder holds something; or the one tenant is
            not in it, or was erased.
        AlreadyOwned, EncryptionFault, StoreError, OSError: as for a backup.
    """
    names, until = _names(archive, wish), wish.until
    recover = partial(rotation.recover, settings, wish.recovery) if wish.recovery else int
    done: dict[str, Restored] = {}
    with own(settings.data_dir, "a restore"):
        if wish.tenant:
            need_not_erased(settings, wish.tenant)
        for name in names:
            source, folder = tenant_folder(archive, name), settings.data_dir / "tenants" / name
            if name != DEFAULT and not wish.tenant and _later(source, until):
                say(f"{name}: left out, its archive begins after that")
                continue
            needed = plan(source, until).base.manifest().patient_keys
            place_keys(settings, name, needed, settings.patient_keys_copy)
            make_folder(folder.parent)
            done[name] = restore_to(source, folder, settings, until, recover)
            if until == NEWEST and (told := overshadowed(source, source / done[name].lineage)):
                say(f"{name}: {told}")
        if wish.tenant and wish.tenant != DEFAULT and (told := register(archive, settings, wish.tenant)):
            say(told)
    return done


def _names(archive: Spot, wish: Wish) -> list[str]:
    """Return the tenants that are to be restored. Raises BackupRefused."""
    held = archived(archive)
    if wish.tenant:
        if wish.tenant not in held:
            raise BackupRefused(f"{archive} holds nothing of the tenant {wish.tenant[:80]!r}")
        return [wish.tenant]
    if DEFAULT not in held:
        raise BackupRefused(f"{archive} holds {', '.join(held)[:200] or 'no tenant'}: restore with --tenant")
    return held


def bring_register(archive: Spot, settings: Settings) -> None:
    """Bring the register of erasures that is to be followed after a restore out of the archive, unless that of the
    settings survived. Raises OSError."""
    if not place_of(settings).exists():
        with suppress(FileNotFoundError):
            (archive / NAME).fetch(place_of(settings))
            sync(place_of(settings))


def _later(tenant: Spot, until: Until) -> bool:
    """Tell whether all that there is of a tenant is from after an instant."""
    if until.time is None:
        return False
    found = [base.facts.as_of for lineage in catalog.lineages(tenant) for base in catalog.bases(lineage)]
    return bool(found) and min(found) > until.time
