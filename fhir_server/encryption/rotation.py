"""What operators do with keys: make and confirm the recovery key, wrap anew, rotate, recover."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fhir_server.encryption.escrow import Escrow, need_escrow, read_escrow
from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.files import changing
from fhir_server.encryption.keyring import Keyring, Wrap, read_keyring
from fhir_server.encryption.masters.base import MasterKey
from fhir_server.encryption.masters.chosen import made_or_found, name_of
from fhir_server.encryption.patient_keys import folder_of
from fhir_server.encryption.primitives import KEY_SIZE
from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.encryption.unlocked import master_of, unlocked
from fhir_server.settings import Settings


def begin(settings: Settings) -> RecoveryKey:
    """Make the recovery key of a data folder, and the file of the master key where that is missing.

    Raises:
        EncryptionFault: there is a recovery key already, or the master key cannot be used.
    """
    data_dir = settings.data_dir
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with changing(data_dir):
        escrow = read_escrow(data_dir)
        if rings(data_dir) or (escrow is not None and escrow.confirmed):
            known = escrow.recovery.id if escrow else "that its stores name"
            raise EncryptionFault(f"{data_dir} has a recovery key already: {known}")
        _try(made_or_found(name_of(settings)))
        key = RecoveryKey.new()
        Escrow(key.public).save(data_dir)
    return key


def confirm(settings: Settings, key: RecoveryKey) -> None:
    """Note that somebody holds the recovery key. Raises WrongKey for another one, EncryptionFault without any."""
    data_dir = settings.data_dir
    with changing(data_dir):
        escrow = read_escrow(data_dir)
        if escrow is None:
            names = {wrapped.recovery for _, ring in rings(data_dir) for wrapped in ring.keys.values()}
            if not names:
                raise EncryptionFault(f"{data_dir} has no recovery key yet: run `fhir-server keys init`")
            if names != {key.public.id}:
                raise WrongKey(f"this is recovery key {key.public.id}; the stores name {', '.join(sorted(names))}")
            escrow = Escrow(key.public)
        escrow.confirmed_by(key).save(data_dir)


def rotate(settings: Settings, *, to: str = "", data_keys: bool = True) -> list[str]:
    """Wrap every key anew, and with `data_keys` give each tenant a new one; return the names of the tenants.

    Args:
        to: another master key; the data keys stay then, as running servers could not open new ones.

    Raises:
        EncryptionFault: a master key cannot be used, or there is no confirmed recovery key; what was wrapped stays.
    """
    with changing(settings.data_dir):
        escrow = need_escrow(settings.data_dir)
        stores, patients = rings(settings.data_dir), patient_rings(settings)
        known = [(folder, ring, _data_keys(folder, settings)) for folder, ring in (*stores, *patients)]
        master = made_or_found(to) if to else master_of(settings)
        if data_keys and not to:
            master.rotate()
        _try(master)
        wrap = Wrap(master, escrow.recovery)
        for folder, ring, keys in known:
            fresh = ring.rewrapped(keys.__getitem__, wrap)
            (fresh.added(os.urandom(KEY_SIZE), wrap) if data_keys and not to else fresh).save(folder)
    return [folder.name for folder, _ in stores]


def recover(settings: Settings, key: RecoveryKey) -> list[str]:
    """Open every data key with the recovery key and wrap it by the master key of the settings, which is made where
    it is a file that does not exist. Return the names of the tenants.

    Raises:
        WrongKey: this is not the recovery key of these stores; nothing is changed.
    """
    with changing(settings.data_dir):
        found = rings(settings.data_dir)
        every = (*found, *patient_rings(settings))
        opened = [(folder, ring, _recovered(ring, key)) for folder, ring in every]
        wrap = Wrap(made_or_found(name_of(settings)), key.public)
        for folder, ring, keys in opened:
            ring.rewrapped(keys.__getitem__, wrap).save(folder)
        Escrow(key.public, confirmed=True).save(settings.data_dir)
    return [folder.name for folder, _ in found]


def rings(data_dir: Path) -> Sequence[tuple[Path, Keyring]]:
    """Return folder and keyring of every tenant that has one. Raises EncryptionFault."""
    folders: Iterable[Path] = sorted((data_dir / "tenants").glob("*"))
    return [(folder, ring) for folder in folders if (ring := read_keyring(folder)) is not None]


def patient_rings(settings: Settings) -> Sequence[tuple[Path, Keyring]]:
    """Return folder and keyring of the patient keys of every tenant. Raises EncryptionFault."""
    folders: Iterable[Path] = sorted(folder_of(settings, "").glob("*"))
    return [(folder, ring) for folder in folders if (ring := read_keyring(folder)) is not None]


def _recovered(ring: Keyring, key: RecoveryKey) -> dict[str, bytes]:
    others = {wrapped.recovery for wrapped in ring.keys.values()} - {key.public.id}
    if others:
        raise WrongKey(
            f"this is recovery key {key.public.id}; tenant {ring.tenant} was wrapped for {', '.join(sorted(others))}"
        )
    return {name: ring.recovered(name, key) for name in ring.keys}


def _data_keys(folder: Path, settings: Settings) -> dict[str, bytes]:
    keys = unlocked(folder, settings)
    return dict(keys.keys) if keys else {}


def _try(master: MasterKey) -> None:
    """See that a master key opens what it wraps, before anything depends on it."""
    probe = os.urandom(KEY_SIZE)
    if master.unwrap(master.wrap(probe, {"for": "trial"}), {"for": "trial"}) != probe:
        raise EncryptionFault(f"the master key {master.id} does not open what it wraps")
