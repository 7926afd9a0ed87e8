"""Master keys in a file or in a variable: lines of hexadecimal or Base64, the first of which is in force."""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fhir_server.encryption import files
from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.masters.base import Context, bound_to
from fhir_server.encryption.primitives import KEY_SIZE, derive, seal, unseal


class FileKey:
    """Keys in a file. Rotation puts a new one on top; those below still open what they wrapped, such as backups."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = _keys(_read(path), str(path))

    @classmethod
    def make(cls, path: Path) -> "FileKey":
        """Make the file with a new key. Raises FileExistsError."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_new(path, _line())
        return cls(path)

    @property
    def id(self) -> str:
        """The file's first key, named by a digest of it."""
        return f"file:{_id(self._keys[0])}"

    def wrap(self, data: bytes, context: Context) -> bytes:
        """Wrap with the first key."""
        return seal(self._keys[0], data, bound_to(context))

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Open with whichever key it was; one that was put on top since is read now."""
        try:
            return _unwrap(self._keys, wrapped, context, str(self._path))
        except WrongKey:
            self._keys = _keys(_read(self._path), str(self._path))
            return _unwrap(self._keys, wrapped, context, f"the master keys in {self._path}")

    def rotate(self) -> None:
        """Put a new key on top of the file."""
        files.replace(self._path, _line() + _read(self._path).encode())
        self._keys = _keys(_read(self._path), str(self._path))


class EnvironmentKey:
    """Keys in a variable, separated by commas; whoever sets the variable rotates it."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        if not environment.get(name):
            raise EncryptionFault(f"the variable {name} holds no master key: set it to 32 random bytes in hexadecimal")
        self._keys = _keys(environment[name].replace(",", "\n"), f"the variable {name}")

    @property
    def id(self) -> str:
        """The variable's first key, named by a digest of it."""
        return f"env:{_id(self._keys[0])}"

    def wrap(self, data: bytes, context: Context) -> bytes:
        """Wrap with the first key."""
        return seal(self._keys[0], data, bound_to(context))

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Open with whichever key it was."""
        return _unwrap(self._keys, wrapped, context, f"the master keys in the variable {self._name}")

    def rotate(self) -> None:
        """Refuse: a process cannot change what starts it."""
        raise EncryptionFault(
            f"put a new key before the old one in {self._name} (`NEW,OLD`), then run `fhir-server keys rotate --wrap`"
        )


def _unwrap(keys: Sequence[bytes], wrapped: bytes, context: Context, where: str) -> bytes:
    for key in keys:
        try:
            return unseal(key, wrapped, bound_to(context))
        except WrongKey:
            continue
    raise WrongKey(f"none of {where} opens it")


def _keys(text: str, where: str) -> list[bytes]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    keys = [_decoded(line) for line in lines]
    if not keys or any(len(key) != KEY_SIZE for key in keys):
        raise EncryptionFault(f"{where} must hold keys of 32 bytes in hexadecimal or Base64, one a line")
    return keys


def _decoded(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 2 * KEY_SIZE else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise EncryptionFault(f"the file with the master key cannot be read: {path}: {error}") from None


def _line() -> bytes:
    return os.urandom(KEY_SIZE).hex().encode() + b"\n"


def _id(key: bytes) -> str:
    return derive(key, "fhir-server master key id").hex()[:16]
