"""Signing: who vouches for a model. An Ed25519 signature over name, version and the hashes of all of its files.

Ed25519: https://www.rfc-editor.org/rfc/rfc8032
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fhir_ai.models.errors import ModelRefused

_HEADER: Final = b"fhir-server model v1"
_RAW: Final = 32


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature in base64, and the id of the key that made it."""

    key: str
    value: str


def statement(name: str, version: str, files: Iterable[bytes]) -> bytes:
    """Return what is signed: name, version and the SHA-256 of the graph, the manifest and the card, in this order."""
    lines = [name.encode(), version.encode(), *(hashlib.sha256(each).hexdigest().encode() for each in files)]
    return b"\n".join([_HEADER, *lines, b""])


def new_key() -> tuple[str, str]:
    """Return a new private key and its public key, both raw in base64."""
    key = Ed25519PrivateKey.generate()
    return _text(key.private_bytes_raw()), _text(key.public_key().public_bytes_raw())


def public_of(private: str) -> str:
    """Return the public key of a private one. Raises ValueError: it is none."""
    return _text(_private(private).public_key().public_bytes_raw())


def key_id(public: str) -> str:
    """Return the short name of a public key. Raises ValueError: it is none."""
    return hashlib.sha256(_bytes(public)).hexdigest()[:16]


def sign(said: bytes, private: str) -> Signature:
    """Sign a statement. Raises ValueError: the key is none."""
    key = _private(private)
    return Signature(key_id(_text(key.public_key().public_bytes_raw())), _text(key.sign(said)))


def verify(said: bytes, signature: Signature | None, trusted: Iterable[str], named: str) -> None:
    """Hold a signature to the keys that are trusted (raw, in base64).

    Raises:
        ModelRefused: there is no signature, its key is not trusted, or it is of something else.
    """
    if signature is None:
        raise ModelRefused(f"the model {named!r} is refused: it is not signed", "unsigned")
    keys = {key_id(each): each for each in trusted}
    if signature.key not in keys:
        said_ = f"the model {named!r} is refused: the key {signature.key[:16]!r} that signed it is not trusted here"
        raise ModelRefused(f"{said_}; trusted are {', '.join(sorted(keys)) or 'none'}", "unknown-key")
    try:
        public = Ed25519PublicKey.from_public_bytes(_bytes(keys[signature.key]))
        public.verify(base64.b64decode(signature.value, validate=True), said)
    except (InvalidSignature, ValueError) as error:
        wrong = "its signature is not of these files: model, manifest or card were changed after they were signed"
        raise ModelRefused(f"the model {named!r} is refused: {wrong}", "wrong-signature") from error


def _private(text: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_bytes(text))


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise ValueError("a key is 32 bytes in base64") from error
    if len(raw) != _RAW:
        raise ValueError("a key is 32 bytes in base64")
    return raw


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
