"""What the owner of a data folder does about its keys: finish rotations, encrypt plain stores."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fhir_server.encryption.escrow import need_escrow
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.files import changing
from fhir_server.encryption.keyring import Wrap, new_keyring, read_keyring
from fhir_server.encryption.patient_keys import PatientKeys, folder_of
from fhir_server.encryption.rotation import rings
from fhir_server.encryption.unlocked import master_of
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault
from fhir_server.storage.sqlite.backup import read_manifest
from fhir_server.storage.sqlite.envelope_keys import copy_keys, place_keys, rewrap_keys
from fhir_server.storage.sqlite.ownership import own, owner_of
from fhir_server.storage.sqlite.rekey import behind, bring_up_to_date, plain_copies, seal_blobs
from fhir_server.storage.sqlite.rekey_live import rekey_live

__all__ = [
    "Resealing",
    "behind",
    "catch_up",
    "copy_patient_keys",
    "encrypt",
    "needs_index",
    "owner_of",
    "place_patient_keys",
    "rotate_files",
]

_log: Final = logging.getLogger(__name__)

Say = Callable[[str], None]


def catch_up(settings: Settings) -> None:
    """Bring the records under their current keys, before anybody serves them.

    Raises:
        StorageFault: one cannot be opened.
    """
    try:
        for folder, ring in rings(settings.data_dir):
            if ring.rewriting or (ring.record and (len(ring.keys) > 1 or ring.record != ring.current)):
                _catch_up(folder, settings)
            rewrap_keys(folder, settings)
    except EncryptionFault as error:
        raise StorageFault(str(error)) from error


def rotate_files(settings: Settings) -> None:
    """Bring records and blobs under their current keys at once. Raises AlreadyOwned, StorageFault."""
    with own(settings.data_dir, "the rotation of its keys"):
        for folder, _ in rings(settings.data_dir):
            seal_blobs(folder, settings)
        catch_up(settings)


def encrypt(settings: Settings, say: Say) -> int:
    """Encrypt every plain store of a data folder; goes on where an earlier try was stopped. Return how many were.

    Raises:
        AlreadyOwned: a server runs on the folder.
        EncryptionFault: no confirmed recovery key, no master key, or plain copies lie about.
    """
    with own(settings.data_dir, "the encryption of its stores"):
        wrap = Wrap(master_of(settings), need_escrow(settings.data_dir).recovery)
        folders = [path.parent for path in sorted(settings.data_dir.glob("tenants/*/record.db"))]
        copies = [str(copy) for folder in folders for copy in plain_copies(folder)]
        if copies:
            raise EncryptionFault(f"copies made before a change of format are plain: remove {', '.join(copies)} first")
        return sum(_encrypt(folder, settings, wrap, say) for folder in folders)


def place_patient_keys(source: Path, settings: Settings, keys: Path | None, tenant: str = "") -> None:
    """Put the patient keys that a backup needs in their place, before it is restored.

    Raises:
        EncryptionFault: they are not to be had, or are those of another store.
        BackupRefused: the folder holds no complete backup.
    """
    for folder in sorted((source / "tenants").glob(tenant or "*")):
        place_keys(settings, folder.name, read_manifest(folder).patient_keys, keys)


def needs_index(settings: Settings) -> bool:
    """Tell whether a store of the folder was restored whose backup holds no index: those with keys of patients."""
    folders = settings.data_dir.glob("tenants/*/record.db")
    return any(PatientKeys(folder_of(settings, path.parent.name), settings).exists() for path in folders)


def copy_patient_keys(settings: Settings, target: Path) -> int:
    """Bring a folder's copy of the keys of all patients up to date; return of how many tenants. Raises
    EncryptionFault."""
    folders = [path.parent for path in sorted(settings.data_dir.glob("tenants/*/record.db"))]
    known = [folder for folder in folders if PatientKeys(folder_of(settings, folder.name), settings).exists()]
    for folder in known:
        copy_keys(folder, settings, target)
    return len(known)


class Resealing:
    """The background part of a rotation: keys of patients, blobs and record come under the current key while the
    server serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._done = settings, set[str]()

    def __call__(self, tenant: str) -> int:
        """Do what is left to do for a tenant; return how many blobs were brought up to date."""
        folder: Path = self._settings.data_dir / "tenants" / tenant
        if rewrap_keys(folder, self._settings):
            _log.info("the patient keys of tenant %s are under its current key", tenant)
        ring = read_keyring(folder)
        if ring is None or len(ring.keys) == 1 or ring.current in self._done:
            return 0
        count = seal_blobs(folder, self._settings)
        if not behind(folder):
            if rekey_live(folder, self._settings):
                _log.info("the record of tenant %s is under its current key", tenant)
            elif self._can_wait(folder):
                return count
            self._done.add(ring.current)
        return count

    def waits(self, tenant: str) -> bool:
        """Tell whether the keys of a tenant are not all what they are to be."""
        ring = read_keyring(self._settings.data_dir / "tenants" / tenant)
        return ring is not None and (len(ring.keys) > 1 or ring.record != ring.current)

    def _can_wait(self, folder: Path) -> bool:
        """Tell whether a record has to be looked at again: others used it, and it is small enough."""
        size = (folder / "record.db").stat().st_size
        return self.waits(folder.name) and size <= self._settings.rotate_live


def _catch_up(folder: Path, settings: Settings) -> None:
    with changing(settings.data_dir):
        if bring_up_to_date(folder, settings):
            _log.info("tenant %s is under its current key", folder.name)


def _encrypt(folder: Path, settings: Settings, wrap: Wrap, say: Say) -> bool:
    ring = read_keyring(folder)
    if ring is None:
        new_keyring(folder.name, wrap, plain=True).save(folder)
    elif ring.record:
        return False
    say(f"tenant {folder.name}: its large objects ...")
    seal_blobs(folder, settings)
    say(f"tenant {folder.name}: its record ...")
    bring_up_to_date(folder, settings)
    return True
