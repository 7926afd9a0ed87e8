"""The key of one large object: random, and wrapped at the head of its file by a data key or the key of a patient.

A large object is written before anybody knows whose it is. When a commit attaches it to a patient, only its head is
written anew.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption.faults import Damaged, EncryptionFault
from fhir_server.encryption.primitives import KEY_SIZE
from fhir_server.encryption.unlocked import Unlocked

NAME: Final = 16
"""Signs of the name of the key that wraps: of a data key, or `p` and the number of a patient's."""

_NONCE: Final = 12
WRAPPED: Final = _NONCE + KEY_SIZE + 16
_PURPOSE: Final = "blobs"

Ciphers = Callable[[int], AESGCM | None]


def _nobody(number: int) -> AESGCM | None:
    raise EncryptionFault(f"there are no keys of patients here, not even {number}")


@dataclass(frozen=True, slots=True)
class BlobKeys:
    """What wraps the keys of blobs; `patients` gives the cipher of a patient's key, None for one that is destroyed."""

    keys: Unlocked
    patients: Ciphers = _nobody

    @property
    def tenant(self) -> str:
        """What all is bound to."""
        return self.keys.ring.tenant

    def wrap(self, key: bytes, blob: str, number: int | None = None) -> bytes:
        """Return the name of the key that wraps, and what it made of the key of a blob. Raises EncryptionFault."""
        name = self.keys.ring.current if number is None else f"p{number:015d}"
        nonce = os.urandom(_NONCE)
        return name.encode() + nonce + self._cipher(name, blob).encrypt(nonce, key, self._bound(name, blob))

    def unwrap(self, head: bytes, blob: str) -> bytes:
        """Return the key of a blob. Raises EncryptionFault."""
        name, nonce, wrapped = head[:NAME].decode("ascii", "replace"), head[NAME : NAME + _NONCE], head[NAME + _NONCE :]
        try:
            return self._cipher(name, blob).decrypt(nonce, wrapped, self._bound(name, blob))
        except (InvalidTag, ValueError):
            raise Damaged(f"the head of blob {blob} is damaged, or not under key {name}", f"blob {blob}") from None

    def _cipher(self, name: str, blob: str) -> AESGCM:
        if not name.startswith("p"):
            return AESGCM(self.keys.key(name, _PURPOSE))
        cipher = self.patients(int(name[1:])) if name[1:].isdecimal() else None
        if cipher is None:
            raise EncryptionFault(f"the key of the patient of blob {blob} was destroyed, or its head is damaged")
        return cipher

    def _bound(self, name: str, blob: str) -> bytes:
        return f"{self.tenant}|{blob}|{name}".encode()
