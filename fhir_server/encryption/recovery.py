"""The recovery key: its public half wraps every data key, its private half is kept away from the server, on paper or
in a safe, and opens a backup when the master key is lost."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fhir_server.encryption.faults import WrongKey
from fhir_server.encryption.primitives import KEY_SIZE, derive, seal, unseal

_TITLE: Final = "fhir-server recovery key"
_CHECK: Final = 3  # bytes at the end by which a misread key is noticed
_GROUP: Final = 4


@dataclass(frozen=True, slots=True)
class PublicRecoveryKey:
    """What the server keeps: enough to wrap, not to open."""

    data: bytes

    @property
    def id(self) -> str:
        """A short name of the key, which tells nothing of its private half."""
        return hashlib.sha256(self.data).hexdigest()[:16]

    def wrap(self, data: bytes, context: str) -> bytes:
        """Wrap a key for whoever holds the private half (X25519 with a key of one use, HKDF, AES-256-GCM)."""
        once = X25519PrivateKey.generate()
        ours = once.public_key().public_bytes_raw()
        shared = once.exchange(X25519PublicKey.from_public_bytes(self.data))
        return ours + seal(_key(shared, ours, self.data), data, context.encode())


@dataclass(frozen=True, slots=True, repr=False)
class RecoveryKey:
    """The private half."""

    data: bytes

    @classmethod
    def new(cls) -> "RecoveryKey":
        """Make one."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def read(cls, text: str) -> "RecoveryKey":
        """Read the file or what somebody typed from it. Raises WrongKey."""
        line = next((line for line in text.splitlines() if line.lower().startswith("key:")), text)
        letters = re.sub(r"[\s-]", "", line.partition(":")[2] or line).upper()
        try:
            raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except binascii.Error:
            raise WrongKey("this is no recovery key: it has other signs than A-Z and 2-7, or lacks some") from None
        if len(raw) != KEY_SIZE + _CHECK or _check(raw[:KEY_SIZE]) != raw[KEY_SIZE:]:
            raise WrongKey("the recovery key was misread: its last signs do not fit the others")
        return cls(raw[:KEY_SIZE])

    @property
    def public(self) -> PublicRecoveryKey:
        """The half that the server keeps."""
        return PublicRecoveryKey(self._private().public_key().public_bytes_raw())

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """Open what the public half wrapped. Raises WrongKey."""
        theirs, sealed = wrapped[:KEY_SIZE], wrapped[KEY_SIZE:]
        try:
            shared = self._private().exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError:
            raise WrongKey("this was not wrapped for a recovery key") from None
        return unseal(_key(shared, theirs, self.public.data), sealed, context.encode())

    def text(self) -> str:
        """Return the lines to keep."""
        signs = base64.b32encode(self.data + _check(self.data)).decode().rstrip("=")
        groups = "-".join(signs[at : at + _GROUP] for at in range(0, len(signs), _GROUP))
        return (
            f"{_TITLE}\nid:  {self.public.id}\nkey: {groups}\n\n"
            "Whoever has this and a backup can read all of it. Keep it away from the server and from its backups.\n"
        )

    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.data)


def _key(shared: bytes, ours: bytes, theirs: bytes) -> bytes:
    return derive(shared, "fhir-server recovery", ours + theirs)


def _check(data: bytes) -> bytes:
    return hashlib.sha256(b"recovery" + data).digest()[:_CHECK]
