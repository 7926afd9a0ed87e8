"""Where encryption meets the record: the key of each database file, and of the blobs beside it.

Pages are under ChaCha20-Poly1305 (RFC 8439): every page is authenticated with its number, rows and indexes and log
alike (measured against the AES-CBC and HMAC of SQLCipher: half the cost). docs/encryption.md
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from fhir_server.alerts import Alert, raise_alert
from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.masters.chosen import encrypted
from fhir_server.encryption.unlocked import Unlocked, begin_encrypted, unlocked
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault

CIPHER: Final = "chacha20"

Keys = Callable[[], Unlocked | None]


def no_keys() -> Unlocked | None:
    """Return what a plain store has for keys."""
    return None


def keys_of(folder: Path, settings: Settings) -> Keys:
    """Return what gives the keys of a tenant's folder as they are at the moment. Raises StorageFault when called."""

    def keys() -> Unlocked | None:
        try:
            return unlocked(folder, settings)
        except WrongKey as error:
            raise_alert(Alert("wrong-key", folder.name, str(error), "keys.json"))
            raise StorageFault(str(error)) from error
        except EncryptionFault as error:
            raise StorageFault(str(error)) from error

    return keys


def unlock(connection: apsw.Connection, path: Path, settings: Settings) -> None:
    """Give a connection the key of its file, before anything else is asked of it.

    Raises:
        StorageFault: the setting and the folder disagree, or the key does not open the file.
    """
    keys = keys_of(path.parent, settings)()
    if keys is None:
        if encrypted(settings):
            raise StorageFault(f"encryption is on, but {path} is not encrypted: run `fhir-server keys encrypt` first")
        return
    if not keys.ring.record:
        raise StorageFault(f"the encryption of {path} was interrupted: run `fhir-server keys encrypt` again")
    give_key(connection, path, keys.key(keys.ring.record, purpose(path)), keys.ring.record)


def give_key(connection: apsw.Connection, path: Path, key: bytes, name: str) -> None:
    """Set the key and see whether it opens the file. Raises StorageFault."""
    connection.execute(f"PRAGMA cipher = '{CIPHER}'").fetchall()
    connection.execute(f"PRAGMA key = 'raw:{key.hex()}'").fetchall()
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    except apsw.NotADBError:
        said = f"{path} does not open with key {name}: it is under another key, or its first page is damaged"
        raise_alert(Alert("wrong-key", path.parent.name, said, path.name))
        raise StorageFault(said) from None


def purpose(path: Path) -> str:
    """Return what the key of a database file is derived for, so that no two files share one."""
    return f"sqlite {path.name}"


def begin(folder: Path, settings: Settings) -> None:
    """Make the keys of a record that does not exist yet, where it is to be encrypted. Raises StorageFault."""
    if not encrypted(settings) or (folder / "record.db").exists() or keys_of(folder, settings)() is not None:
        return
    try:
        begin_encrypted(folder, settings)
    except EncryptionFault as error:
        raise StorageFault(str(error)) from error
