"""The keys of patients: a slot each in a file that stands apart from the store and from its backups.

A backup is older than the erasures that come after it, so a key that is to be destroyed must not be in it. The folder
of a tenant holds `keys.json`, the data keys that wrap (each wrapped by master key and recovery key, as in the store's
own folder), and `patients.keys`: `FHIRKEY1`, a random id of 16 bytes by which the store knows the file as its own, and
slots of 68 bytes: the name of the data key, a nonce, and a key of 32 bytes under AES-256-GCM, bound to tenant and
number. Slot 0 is the key of what belongs to no single patient. A destroyed key is a slot of zeros under the data key,
written over the key in its place; a slot that was never written is none, and an error.
docs/adr/0012-keys-of-patients.md
"""

import errno
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.encryption import files
from fhir_server.encryption.escrow import need_escrow
from fhir_server.encryption.faults import Damaged, EncryptionFault
from fhir_server.encryption.keyring import FILE as RING
from fhir_server.encryption.keyring import Wrap, new_keyring, read_keyring
from fhir_server.encryption.primitives import KEY_SIZE
from fhir_server.encryption.unlocked import Unlocked, master_of, unlocked
from fhir_server.settings import Settings

SLOTS: Final = "patients.keys"
SHARED: Final = 0
"""The number of the key of what belongs to no single patient."""

_MAGIC: Final = b"FHIRKEY1"
_ID: Final = 16
_HEAD: Final = len(_MAGIC) + _ID
_NAME: Final = 8
_NONCE: Final = 12
_SLOT: Final = _NAME + _NONCE + KEY_SIZE + 16
_DESTROYED: Final = bytes(KEY_SIZE)
_PURPOSE: Final = "patients"

Turn = AbstractContextManager[None]


def folder_of(settings: Settings, tenant: str) -> Path:
    """Return where the keys of a tenant's patients are: by default beside the data folder, as the master key is."""
    data = settings.data_dir.absolute()
    return (settings.patient_keys or data.with_name(data.name + ".patient-keys")) / tenant


def need_lasting(settings: Settings) -> None:
    """Refuse the default place where it is on another file system than the data: that of a container does not last.

    Raises:
        EncryptionFault: with what to set.
    """
    data = settings.data_dir.absolute()
    if settings.patient_keys is None and os.stat(data).st_dev != os.stat(data.parent).st_dev:
        raise EncryptionFault(
            f"the keys of patients would stand in {folder_of(settings, '')}, which is on another file system than the "
            "data and may not last: set patient_keys to a folder that does, apart from the data and from backups"
        )


class PatientKeys:
    """The keys in one folder. Those who change them hold the turn to write of the store that they belong to."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self._settings = folder, settings
        self._path = folder / SLOTS
        self._ciphers: dict[str, AESGCM] = {}

    @classmethod
    def make(cls, folder: Path, settings: Settings) -> "PatientKeys":
        """Begin a file with the shared key. Raises EncryptionFault: there is one, or no confirmed recovery key."""
        made = cls(folder, settings)
        if made.exists():
            raise EncryptionFault(f"{folder} holds the patient keys of another store; if that is gone, remove it")
        need_lasting(settings)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        recovery = need_escrow(settings.data_dir).recovery
        if not (folder / RING).exists():  # an earlier try may have come this far
            new_keyring(f"{folder.name}/patients", Wrap(master_of(settings), recovery), plain=True).save(folder)
        head = _MAGIC + secrets.token_bytes(_ID)
        files.replace(made._path, head + made._sealed(SHARED, secrets.token_bytes(KEY_SIZE)))
        return made

    def exists(self) -> bool:
        """Tell whether there is a file."""
        return self._path.exists()

    @property
    def id(self) -> str:
        """The name by which the store knows the file. Raises EncryptionFault for one that is none."""
        return self._head()[len(_MAGIC) :].hex()

    @property
    def tenant(self) -> str:
        """What is sealed by these keys is bound to this name."""
        return self._unlocked().ring.tenant

    def count(self) -> int:
        """Return how many slots there are."""
        with self._opened() as descriptor:
            return max(0, os.fstat(descriptor).st_size - _HEAD) // _SLOT

    def get(self, number: int) -> bytes | None:
        """Return a key, None for one that was destroyed.

        Raises:
            EncryptionFault: there never was one of this number here, it was changed, or the master key is another.
        """
        with self._opened() as descriptor:
            slot = os.pread(descriptor, _SLOT, _at(number))
        key = self._opened_slot(number, slot)
        return None if key == _DESTROYED else key

    def add(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Make keys under numbers that had none; they are durable when this returns."""
        made = {number: secrets.token_bytes(KEY_SIZE) for number in numbers}
        self._write({number: self._sealed(number, key) for number, key in made.items()})
        return made

    def destroy(self, number: int) -> None:
        """Overwrite a key: what is sealed by it, in whatever copy, is beyond recovery."""
        self._write({number: self._sealed(number, _DESTROYED)})

    def rewrap(self, turn: Turn) -> bool:
        """Bring all slots under the current data key and forget the others; tell whether there was anything to do.

        The copy is made beside the file and takes its place within the turn, in which what changed meanwhile is done
        again: a crash leaves one of the two.
        """
        ring = self._unlocked().ring
        if len(ring.keys) == 1:
            return False
        before = self._slots()
        fresh = self._rewrapped(before, {})
        with turn:
            fresh = self._rewrapped(self._slots(), dict(zip(before, fresh, strict=True)))
            files.replace(self._path, self._head() + b"".join(fresh))
        ring.only(ring.current).save(self.folder)
        self._ciphers.clear()
        return True

    def copy_to(self, folder: Path) -> None:
        """Make another folder hold the same, overwriting what is destroyed by now in its place.

        Raises:
            EncryptionFault: the folder holds the keys of another store.
        """
        target = PatientKeys(folder, self._settings)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not target.exists():
            files.replace(target._path, self._head())
        if target.id != self.id:
            raise EncryptionFault(f"{folder} holds the patient keys of another store")
        ours, theirs = self._slots(), target._slots()
        theirs += [b""] * (len(ours) - len(theirs))
        ring, before = self._unlocked().ring, read_keyring(folder)
        both = {**before.keys, **ring.keys} if before else ring.keys
        replace(ring, keys=both).save(folder)  # a crash leaves slots of before or of now
        changed = enumerate(zip(ours, theirs, strict=False))
        target._write({number: slot for number, (slot, other) in changed if slot != other})
        ring.save(folder)

    def copy_new_to(self, folder: Path) -> None:
        """Bring the keys that another folder lacks there; where it is not under the same data keys, all of them.

        Raises:
            EncryptionFault: the folder holds the keys of another store.
        """
        target = PatientKeys(folder, self._settings)
        if not target.exists() or target.id != self.id or read_keyring(folder) != read_keyring(self.folder):
            self.copy_to(folder)
            return
        first, last = target.count(), self.count()
        with self._opened() as descriptor:
            data = os.pread(descriptor, (last - first) * _SLOT, _at(first)) if last > first else b""
        slots = [data[at : at + _SLOT] for at in range(0, len(data), _SLOT)]
        if slots:
            target._write(dict(enumerate(slots, first)))

    def scrub(self) -> None:
        """Overwrite and remove all of them: the tenant is erased."""
        if self.exists():
            with self._opened(os.O_WRONLY) as descriptor:
                os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
                os.fsync(descriptor)
        for name in (RING, SLOTS):
            (self.folder / name).unlink(missing_ok=True)
        if self.folder.exists():
            self.folder.rmdir()

    def _rewrapped(self, slots: Sequence[bytes], known: Mapping[bytes, bytes]) -> list[bytes]:
        return [
            known.get(slot) or (self._sealed(number, self._opened_slot(number, slot)) if any(slot) else slot)
            for number, slot in enumerate(slots)
        ]

    def _sealed(self, number: int, key: bytes) -> bytes:
        name = self._unlocked().ring.current
        nonce = os.urandom(_NONCE)
        return bytes.fromhex(name) + nonce + self._cipher(name).encrypt(nonce, key, self._bound(number))

    def _opened_slot(self, number: int, slot: bytes) -> bytes:
        if len(slot) < _SLOT or not any(slot):
            raise EncryptionFault(
                f"patient key {number} is not in {self._path}: the file is older than the store; bring its newest copy"
            )
        name = slot[:_NAME].hex()
        try:
            opened = self._cipher(name).decrypt(
                slot[_NAME : _NAME + _NONCE], slot[_NAME + _NONCE :], self._bound(number)
            )
        except InvalidTag:
            raise Damaged(f"patient key {number} in {self._path} is damaged, or not under key {name}") from None
        return opened

    def _cipher(self, name: str) -> AESGCM:
        found = self._ciphers.get(name)
        if found is None:
            found = self._ciphers[name] = AESGCM(self._unlocked().key(name, _PURPOSE))
        return found

    def _bound(self, number: int) -> bytes:
        return f"{self.tenant}|{number}".encode()

    def _unlocked(self) -> Unlocked:
        keys = unlocked(self.folder, self._settings)
        if keys is None:
            raise EncryptionFault(f"{self.folder / RING} is missing: {_LOST}")
        return keys

    def _head(self) -> bytes:
        with self._opened() as descriptor:
            head = os.pread(descriptor, _HEAD, 0)
        if len(head) < _HEAD or not head.startswith(_MAGIC):
            raise EncryptionFault(f"{self._path} is no file of patient keys, or its head is damaged")
        return head

    def _slots(self) -> list[bytes]:
        data = self._path.read_bytes()[_HEAD:]
        return [data[at : at + _SLOT] for at in range(0, len(data) - len(data) % _SLOT, _SLOT)]

    def _write(self, slots: Mapping[int, bytes]) -> None:
        with self._opened(os.O_WRONLY) as descriptor:
            for number, slot in slots.items():
                if os.pwrite(descriptor, slot, _at(number)) < _SLOT:
                    raise OSError(errno.ENOSPC, f"no room for keys of patients in {self.folder}")
            os.fsync(descriptor)

    @contextmanager
    def _opened(self, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Open the file anew each time: a rotation puts another in its place."""
        try:
            descriptor = os.open(self._path, flags | os.O_CLOEXEC)
        except FileNotFoundError:
            raise EncryptionFault(f"{self._path} is missing: {_LOST}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)


_LOST: Final = "without it the resources of patients cannot be read; bring the newest copy of it (docs/encryption.md)"


def _at(number: int) -> int:
    return _HEAD + number * _SLOT
