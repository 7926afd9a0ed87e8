"""Large objects at rest: chunks under AES-256-GCM, so that any range can be read and none can be moved or cut off.

A file is `FHIRBLB2`, the name of the key that wraps its own (16 signs), its wrapped key (60 bytes), then chunks of
65,536 bytes with 16 bytes of tag each, the last one shorter. The nonce of a chunk is its number and whether it is the
last; each is also bound to tenant and blob. Files that begin `FHIRBLB1` have 16 random bytes instead of a wrapped key,
from which theirs is derived, and are still read.
"""

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption.blob_keys import NAME, WRAPPED, BlobKeys
from fhir_server.encryption.faults import Damaged
from fhir_server.encryption.primitives import KEY_SIZE, derive

CHUNK: Final = 65_536
_MAGIC: Final = b"FHIRBLB2"
_HEAD: Final = len(_MAGIC) + NAME + WRAPPED
_FIRST: Final = b"FHIRBLB1"
_SALT: Final = 16
_FIRST_HEAD: Final = len(_FIRST) + NAME + _SALT
_TAG: Final = 16
_PURPOSE: Final = "blobs"


class SealedWriter:
    """A new blob; what is written comes to the disk encrypted. `finish` writes the last chunk."""

    def __init__(self, file: FileIO, keys: BlobKeys, blob: str) -> None:
        key = os.urandom(KEY_SIZE)
        self._file, self._buffer, self._number = file, bytearray(), 0
        self._cipher = _Cipher(AESGCM(key), f"{keys.tenant}|{blob}".encode(), blob)
        _write(file, _MAGIC + keys.wrap(key, blob))

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

    def __init__(self, path: Path, keys: BlobKeys, blob: str) -> None:
        self._file = FileIO(path)
        try:
            head = os.pread(self._file.fileno(), _HEAD, 0)
            self._head = _head_of(head)
            if not self._head:
                raise Damaged(f"blob {blob} is not encrypted, or its head is damaged", f"blob {blob}")
            self._cipher = _Cipher.of(keys, head[: self._head], blob)
        except BaseException:
            self._file.close()
            raise
        self._length = os.fstat(self._file.fileno()).st_size

    def pread(self, size: int, start: int) -> bytes:
        """Return up to `size` bytes from `start`, fewer at the end only. Raises Damaged."""
        first, last = start // CHUNK, (start + size - 1) // CHUNK
        sealed = os.pread(self._file.fileno(), (last - first + 1) * (CHUNK + _TAG), self._head + first * (CHUNK + _TAG))
        final = (max(self._length - self._head, 1) - 1) // (CHUNK + _TAG)
        parts = [
            self._cipher.open(sealed[at : at + CHUNK + _TAG], number, last=number == final)
            for number, at in enumerate(range(0, len(sealed), CHUNK + _TAG), first)
        ]
        return b"".join(parts)[start - first * CHUNK :][:size]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def hand_over(path: Path, keys: BlobKeys, blob: str, number: int | None) -> None:
    """Write the head of a file anew, so that it is under the key of a patient, or of nobody; durable on return.

    The head lies within one sector, so a power cut leaves one of the two. Files of the first form stay as they are.

    Raises:
        EncryptionFault: the head is damaged, or a key is missing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        head = os.pread(descriptor, _HEAD, 0)
        if _head_of(head) != _HEAD:
            return
        key = keys.unwrap(head[len(_MAGIC) :], blob)
        os.pwrite(descriptor, _MAGIC + keys.wrap(key, blob, number), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plain_size(path: Path) -> int:
    """Return how many bytes a file holds; negative for one that is none."""
    with FileIO(path) as file:
        head, length = _head_of(file.read(_HEAD) or b""), os.fstat(file.fileno()).st_size
    chunks = -(-(length - head) // (CHUNK + _TAG))
    return length - head - chunks * _TAG if head and chunks > 0 else -1


def key_name(path: Path) -> str:
    """Return the name of the key that a file says it is under; empty where it is no such file."""
    with FileIO(path) as file:
        head = file.read(_HEAD) or b""
    return head[len(_MAGIC) : len(_MAGIC) + NAME].decode("ascii", "replace") if _head_of(head) else ""


def _head_of(start: bytes) -> int:
    """Return how long the head of a file is that starts so; 0 for no such file."""
    if start.startswith(_FIRST) and len(start) >= _FIRST_HEAD:
        return _FIRST_HEAD
    return _HEAD if start.startswith(_MAGIC) and len(start) >= _HEAD else 0


@dataclass(frozen=True, slots=True)
class _Cipher:
    """The cipher of one file."""

    aead: AESGCM
    bound: bytes
    blob: str

    @classmethod
    def of(cls, keys: BlobKeys, head: bytes, blob: str) -> "_Cipher":
        rest = head[len(_MAGIC) :]
        if head.startswith(_MAGIC):
            return cls(AESGCM(keys.unwrap(rest, blob)), f"{keys.tenant}|{blob}".encode(), blob)
        name = rest[:NAME].decode("ascii", "replace")
        key = derive(keys.keys.key(name, _PURPOSE), blob, rest[NAME:])
        return cls(AESGCM(key), f"{keys.tenant}|{blob}|{name}".encode(), blob)

    def seal(self, data: bytes, number: int, *, last: bool) -> bytes:
        return self.aead.encrypt(_nonce(number, last=last), data, self.bound)

    def open(self, data: bytes, number: int, *, last: bool) -> bytes:
        try:
            return self.aead.decrypt(_nonce(number, last=last), data, self.bound)
        except (InvalidTag, ValueError):
            said = f"chunk {number} of blob {self.blob} is damaged, or stands in another's place"
            raise Damaged(said, f"blob {self.blob}") from None


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
