"""Entries of an encrypted record under its data key, for they hold what its pages protect: ids, records, audit rows."""

import os
from dataclasses import replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption.unlocked import Unlocked
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.entries import Entry

_NAME: Final = 16
_NONCE: Final = 12
_PURPOSE: Final = "archive"


class Seals:
    """Seals and opens entries of one lineage; with no keys they stay as they are."""

    def __init__(self, lineage: str) -> None:
        self._lineage, self._ciphers = lineage, dict[str, AESGCM]()

    def sealed(self, entry: Entry, keys: Unlocked | None) -> Entry:
        """Return an entry under the current data key."""
        if keys is None:
            return entry
        name, nonce = keys.ring.current, os.urandom(_NONCE)
        data = self._cipher(name, keys).encrypt(nonce, entry.data, self._bound(entry.number))
        return replace(entry, data=name.encode().ljust(_NAME) + nonce + data)

    def opened(self, entry: Entry, keys: Unlocked | None) -> bytes:
        """Return the patchset of an entry. Raises BackupRefused, EncryptionFault."""
        if keys is None:
            return entry.data
        name, rest = entry.data[:_NAME].decode("ascii", "replace").strip(), entry.data[_NAME:]
        try:
            return self._cipher(name, keys).decrypt(rest[:_NONCE], rest[_NONCE:], self._bound(entry.number))
        except (InvalidTag, ValueError):
            raise BackupRefused(f"entry {entry.number} was changed, or is not under key {name}") from None

    def _cipher(self, name: str, keys: Unlocked) -> AESGCM:
        found = self._ciphers.get(name)
        if found is None:
            found = self._ciphers[name] = AESGCM(keys.key(name, _PURPOSE))
        return found

    def _bound(self, number: int) -> bytes:
        return f"{self._lineage}|{number}".encode()
