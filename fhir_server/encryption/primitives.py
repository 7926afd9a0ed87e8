"""The few cryptographic operations that all else is made of, each as one function."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_server.encryption.faults import WrongKey

KEY_SIZE: Final = 32
_NONCE: Final = 12


def derive(key: bytes, purpose: str, salt: bytes = b"") -> bytes:
    """Return a key of 32 bytes for one purpose (HKDF-SHA256).

    Spec: https://www.rfc-editor.org/rfc/rfc5869
    """
    return HKDF(SHA256(), KEY_SIZE, salt, purpose.encode()).derive(key)


def seal(key: bytes, data: bytes, context: bytes) -> bytes:
    """Return a random nonce and the data under AES-256-GCM, bound to `context`; for keys, not for many messages."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return what `seal` was given. Raises WrongKey."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError):
        raise WrongKey("the key does not open it, or it was changed") from None
