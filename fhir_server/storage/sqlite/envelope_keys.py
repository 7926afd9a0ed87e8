"""Where the file of patient keys meets the record: begun with it, and known again when the record is opened."""

from pathlib import Path

import apsw

from fhir_server.encryption import files
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.files import changing
from fhir_server.encryption.keyring import FILE as RING
from fhir_server.encryption.keyring import read_keyring
from fhir_server.encryption.patient_keys import SLOTS, PatientKeys, folder_of, need_lasting
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.turn import Turn

_ID = "SELECT value FROM meta WHERE key='patient_keys'"


def prepare_keys(connection: apsw.Connection, folder: Path, settings: Settings) -> None:
    """Make the file of patient keys where the record is to have one and has none. The caller holds the turn.

    Raises:
        StorageFault: the record's file is missing, or another is in its place.
    """
    known = fetch(connection, _ID)
    bodies = Bodies(folder, settings)
    if not known and not bodies.sealing:
        return
    if known:
        _need(bodies.keys, known[0][0])
        if not bodies.sealing:  # what is written from now on has to be sealed when envelopes are on again
            connection.execute("INSERT OR IGNORE INTO meta SELECT 'sealed', coalesce(max(pid), 0) FROM body")
        return
    if not _begun(bodies.keys):
        PatientKeys.make(bodies.keys.folder, settings)
    with connection:
        connection.execute("INSERT INTO meta VALUES('patient_keys', ?)", (bodies.keys.id,))
        connection.execute("INSERT INTO meta SELECT 'sealed', 0 WHERE EXISTS (SELECT 1 FROM body)")


def remove_keys(settings: Settings, tenant: str) -> None:
    """Destroy the keys of all patients of a tenant."""
    PatientKeys(folder_of(settings, tenant), settings).scrub()
    if settings.patient_keys_copy is not None:
        PatientKeys(settings.patient_keys_copy / tenant, settings).scrub()


def copy_keys(folder: Path, settings: Settings, target: Path, *, new: bool = False) -> None:
    """Bring another folder's copy of a tenant's patient keys up to date: what is destroyed by now is so there too.
    With `new` only the keys of new patients are looked at."""
    turn = Turn(folder)
    try:
        with turn.taken():
            keys, copy = PatientKeys(folder_of(settings, folder.name), settings), target / folder.name
            keys.copy_new_to(copy) if new else keys.copy_to(copy)
    finally:
        turn.close()


def rewrap_keys(folder: Path, settings: Settings) -> bool:
    """Bring the patient keys of a tenant under their current data key, while it serves; tell whether there was any
    that was not. Raises EncryptionFault."""
    keys = PatientKeys(folder_of(settings, folder.name), settings)
    ring = read_keyring(keys.folder)
    if ring is None or len(ring.keys) == 1 or not keys.exists() or not folder.exists():
        return False
    turn = Turn(folder)
    try:
        with changing(settings.data_dir):
            done = keys.rewrap(turn.taken())
    finally:
        turn.close()
    if settings.patient_keys_copy is not None:
        copy_keys(folder, settings, settings.patient_keys_copy)
    return done


def place_keys(settings: Settings, tenant: str, known: str, source: Path | None) -> None:
    """Put the patient keys that a backup needs in their place, unless they are there; newer ones are never replaced.

    Raises:
        EncryptionFault: there are none to be had, or they are those of another store.
    """
    here = PatientKeys(folder_of(settings, tenant), settings)
    if not known or (here.exists() and here.id == known):
        return
    if here.exists():
        raise EncryptionFault(f"{here.folder} holds the patient keys of another store; if that is gone, remove it")
    if source is None or not (source / tenant / SLOTS).exists():
        raise EncryptionFault(
            f"the backup of tenant {tenant} needs the patient keys {known}, which are kept apart from it: bring their "
            "newest copy (`--patient-keys-copy FOLDER`)"
        )
    if PatientKeys(source / tenant, settings).id != known:
        raise EncryptionFault(f"{source / tenant} holds the patient keys of another store")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    need_lasting(settings)
    here.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (RING, SLOTS):
        files.replace(here.folder / name, (source / tenant / name).read_bytes())


def _begun(keys: PatientKeys) -> bool:
    """Tell whether a start that was cut off made the file already."""
    return keys.exists() and keys.count() == 1


def _need(keys: PatientKeys, known: str) -> None:
    if keys.id != known:
        raise EncryptionFault(f"{keys.folder} holds the patient keys of another store")
