"""Large objects at rest: chunks under AES-256-GCM, so that any range can be read and none can be moved or cut off.

A file is `FHIRBLB1`, the name of its data key (16 signs), 16 random bytes, then chunks of 65,536 bytes with 16 bytes of
tag each, the last one shorter. The key of a file comes from data key and random bytes. The nonce of a chunk is its
number and whether it is the last; each is also bound to tenant, blob and key.
"""

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption.faults import Damaged
from fhir_server.encryption.primitives import derive
from fhir_server.encryption.unlocked import Unlocked

CHUNK: Final = 65_536
_MAGIC: Final = b"FHIRBLB1"
_NAME: Final = 16
_SALT: Final = 16
_HEAD: Final = len(_MAGIC) + _NAME + _SALT
_TAG: Final = 16
_PURPOSE: Final = "blobs"


class SealedWriter:
    """A new blob; what is written comes to the disk encrypted. `finish` writes the last chunk."""

    def __init__(self, file: FileIO, keys: Unlocked, blob: str) -> None:
        salt = os.urandom(_SALT)
        name = keys.ring.current
        self._file, self._buffer, self._number = file, bytearray(), 0
        self._cipher = _Cipher.of(keys, name, salt, blob)
        _write(file, _MAGIC + name.encode() + salt)

    def write(self, data: bytes | memoryview) -> int:
        """Take bytes; return how many, which is all."""
        self._buffer += data
        while len(self._buffer) > CHUNK:
            self._chunk(bytes(self._buffer[:CHUNK]), last=False)
            del self._buffer[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write what is left."""
        self._chunk(bytes(self._buffer), last=True)
        self._buffer.clear()

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _chunk(self, data: bytes, *, last: bool) -> None:
        _write(self._file, self._cipher.seal(data, self._number, last=last))
        self._number += 1


class SealedReader:
    """A blob on the disk."""

    def __init__(self, path: Path, keys: Unlocked, blob: str) -> None:
        self._file = FileIO(path)
        try:
            head = os.pread(self._file.fileno(), _HEAD, 0)
            if len(head) < _HEAD or head[: len(_MAGIC)] != _MAGIC:
                raise Damaged(f"blob {blob} is not encrypted, or its head is damaged")
            self.key = head[len(_MAGIC) : -_SALT].decode("ascii", "replace")
            self._cipher = _Cipher.of(keys, self.key, head[-_SALT:], blob)
        except BaseException:
            self._file.close()
            raise
        self._length = os.fstat(self._file.fileno()).st_size

    def pread(self, size: int, start: int) -> bytes:
        """Return up to `size` bytes from `start`, fewer at the end only. Raises Damaged."""
        first, last = start // CHUNK, (start + size - 1) // CHUNK
        sealed = os.pread(self._file.fileno(), (last - first + 1) * (CHUNK + _TAG), _HEAD + first * (CHUNK + _TAG))
        final = (max(self._length - _HEAD, 1) - 1) // (CHUNK + _TAG)
        parts = [
            self._cipher.open(sealed[at : at + CHUNK + _TAG], number, last=number == final)
            for number, at in enumerate(range(0, len(sealed), CHUNK + _TAG), first)
        ]
        return b"".join(parts)[start - first * CHUNK :][:size]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def plain_size(length: int) -> int:
    """Return how many bytes a file of this length holds; negative for one that is none."""
    chunks = -(-(length - _HEAD) // (CHUNK + _TAG))
    return length - _HEAD - chunks * _TAG if chunks > 0 else -1


def key_name(path: Path) -> str:
    """Return the name of the key that a file says it is under; empty where it is no such file."""
    with FileIO(path) as file:
        head = file.read(_HEAD) or b""
    known = len(head) == _HEAD and head.startswith(_MAGIC)
    return head[len(_MAGIC) : -_SALT].decode("ascii", "replace") if known else ""


@dataclass(frozen=True, slots=True)
class _Cipher:
    """The cipher of one file."""

    aead: AESGCM
    bound: bytes
    blob: str
    key: str

    @classmethod
    def of(cls, keys: Unlocked, name: str, salt: bytes, blob: str) -> "_Cipher":
        key = derive(keys.key(name, _PURPOSE), blob, salt)
        return cls(AESGCM(key), f"{keys.ring.tenant}|{blob}|{name}".encode(), blob, name)

    def seal(self, data: bytes, number: int, *, last: bool) -> bytes:
        return self.aead.encrypt(_nonce(number, last=last), data, self.bound)

    def open(self, data: bytes, number: int, *, last: bool) -> bytes:
        try:
            return self.aead.decrypt(_nonce(number, last=last), data, self.bound)
        except (InvalidTag, ValueError):
            raise Damaged(f"chunk {number} of blob {self.blob} is damaged, or not under key {self.key}") from None


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
