"""Bodies in envelopes: opening what a row holds, by keys that are looked up once."""

from pathlib import Path
from threading import Lock
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption.envelopes import number_of, seal, unseal
from fhir_server.encryption.masters.chosen import encrypted
from fhir_server.encryption.patient_keys import SHARED, PatientKeys, folder_of
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.blind import Blind

KNOWN: Final = 8_192  # ciphers that a process remembers, about 1 KB each; the older half goes when there are more


class Bodies:
    """The envelopes of one record, for all connections and threads of a process."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.sealing = settings.envelopes == "on" and encrypted(settings)
        self.keys = PatientKeys(folder_of(settings, folder.name), settings)
        self._ciphers: dict[int, AESGCM | None] = {}
        self._tenant = ""
        self._blind: Blind | None = None
        self._lock = Lock()

    def opened(self, key: ResourceKey, version: int, data: bytes) -> bytes:
        """Return the sealed body of a version as it was written; empty where its key was destroyed.

        Raises:
            EncryptionFault: the body or its key was changed, or the key is missing.
        """
        number = number_of(data)
        cipher = self.cipher(number)
        if cipher is None:
            return b""
        return unseal(cipher, data, f"{self._tenant}|{key.type}/{key.id}/{version}|{number}".encode())

    def sealed(self, key: ResourceKey, version: int, data: bytes, number: int) -> bytes:
        """Return a body under the key of this number, which must not be destroyed."""
        cipher = self.cipher(number)
        assert cipher is not None
        return seal(cipher, number, data, f"{self._tenant}|{key.type}/{key.id}/{version}|{number}".encode())

    def cipher(self, number: int) -> AESGCM | None:
        """Return what seals by a key, None for one that was destroyed. Raises EncryptionFault."""
        try:
            return self._ciphers[number]
        except KeyError:
            return self._learn(number)

    def add(self, numbers: range) -> None:
        """Make keys."""
        self._tenant = self.keys.tenant
        for number, key in self.keys.add(numbers).items():
            self._ciphers[number] = AESGCM(key)

    def blind(self) -> Blind | None:
        """Return what hides values in the index, None for a record without keys of patients. Raises EncryptionFault."""
        if self._blind is None and self.keys.exists():
            shared = self.keys.get(SHARED)
            self._blind = None if shared is None else Blind(shared)
        return self._blind

    def forget(self) -> None:
        """Forget all keys: one may be destroyed by now."""
        with self._lock:
            self._ciphers.clear()

    def _learn(self, number: int) -> AESGCM | None:
        key = self.keys.get(number)
        self._tenant = self.keys.tenant
        with self._lock:
            if len(self._ciphers) >= KNOWN:
                for old in list(self._ciphers)[: KNOWN // 2]:
                    del self._ciphers[old]
            cipher = self._ciphers[number] = None if key is None else AESGCM(key)
        return cipher
