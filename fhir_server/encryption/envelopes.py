"""One body in its envelope: under AES-256-GCM by the key of a patient, bound to where it stands.

A sealed body is the byte 1, which no JSON begins with, the number of the key in 8 bytes, a nonce of 12, then the text
and its tag. Bound to it are tenant, type, id, version and the number of the key, so it opens in no other place.
"""

import os
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption.faults import Damaged

SEALED: Final = 1
PREFIX: Final = 9
_NONCE: Final = 12
_TEXT: Final = PREFIX + _NONCE
_PREFIX: Final = Struct(">BQ")


def seal(cipher: AESGCM, number: int, data: bytes, context: bytes) -> bytes:
    """Return the sealed body; the context is `tenant|Type/id/version|number`.

    Nonces are random: a restored backup may give out the same versions once more.
    """
    nonce = os.urandom(_NONCE)
    return b"".join((prefix(number), nonce, cipher.encrypt(nonce, data, context)))


def unseal(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    """Return the body. Raises Damaged."""
    try:
        return cipher.decrypt(sealed[PREFIX:_TEXT], sealed[_TEXT:], context)
    except (InvalidTag, ValueError):
        place = context.decode().split("|")[1]
        said = f"the body of {place} is damaged, or stands in another's place"
        raise Damaged(said, place.rpartition("/")[0]) from None


def prefix(number: int) -> bytes:
    """Return how the bodies under a key begin."""
    return _PREFIX.pack(SEALED, number)


def number_of(sealed: bytes) -> int:
    """Return the number of the key that a sealed body names."""
    number: int = _PREFIX.unpack_from(sealed)[1]
    return number
