"""The data keys of a tenant while a process serves it: unwrapped once, and again when its `keys.json` changes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

from fhir_server.encryption.escrow import need_escrow
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.keyring import FILE, Keyring, Wrap, new_keyring, read_keyring
from fhir_server.encryption.masters.base import MasterKey
from fhir_server.encryption.masters.chosen import encrypted, master_key, name_of
from fhir_server.encryption.primitives import derive
from fhir_server.settings import Settings

_master: Final = lru_cache(maxsize=8)(master_key)


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The data keys of a tenant by name."""

    ring: Keyring
    keys: Mapping[str, bytes] = field(repr=False)

    def key(self, name: str, purpose: str) -> bytes:
        """Return the key for one purpose under a data key. Raises EncryptionFault for one that is not there."""
        if name not in self.keys:
            raise EncryptionFault(f"tenant {self.ring.tenant} has no key {name!r} (any more)")
        return derive(self.keys[name], purpose)


class Unlocker:
    """Unwraps keys once for each process, as the master key may be far away and dear to ask."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[object, Unlocked]] = {}
        self._lock = Lock()

    def __call__(self, folder: Path, settings: Settings) -> Unlocked | None:
        """Return the keys of the tenant in `folder`, None where it is not encrypted.

        Raises:
            EncryptionFault: the setting and the folder disagree, or the master key does not open the keys.
        """
        state = _state(folder)
        if state is None:
            self._known.pop(folder, None)
            return None
        if not encrypted(settings):
            raise EncryptionFault(f"the store in {folder} is encrypted: it needs encryption=on (docs/encryption.md)")
        with self._lock:
            known = self._known.get(folder)
            if known is None or known[0] != state:
                known = self._known[folder] = state, _unlock(folder, settings, known[1] if known else None)
        return known[1]

    def forget(self) -> None:
        """Forget all keys, and the master keys too."""
        self._known.clear()
        _master.cache_clear()


unlocked: Final = Unlocker()


def master_of(settings: Settings) -> MasterKey:
    """Return the master key that the settings name. Raises EncryptionFault."""
    return _master(name_of(settings))


def begin_encrypted(folder: Path, settings: Settings) -> None:
    """Make the keys of a tenant whose record is about to be made. Raises EncryptionFault."""
    escrow = need_escrow(settings.data_dir)
    new_keyring(folder.name, Wrap(master_of(settings), escrow.recovery)).save(folder)


def _unlock(folder: Path, settings: Settings, before: Unlocked | None) -> Unlocked:
    ring = read_keyring(folder)
    assert ring is not None
    old = before.keys if before else {}
    master = master_of(settings)
    return Unlocked(ring, {name: old.get(name) or ring.unwrap(name, master) for name in ring.keys})


def _state(folder: Path) -> object:
    try:
        state = os.stat(folder / FILE)
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size
