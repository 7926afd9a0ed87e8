"""`fhir-server keys`: switch encryption on, and look after its keys."""

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import httpx

from fhir_server.commands.administration import out, say
from fhir_server.encryption import rotation
from fhir_server.encryption.escrow import read_escrow
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.files import write_new
from fhir_server.encryption.masters.chosen import name_of
from fhir_server.encryption.patient_keys import PatientKeys, folder_of
from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.encryption.unlocked import master_of
from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, need_record
from fhir_server.serving.encryption import behind, copy_patient_keys, encrypt, owner_of, rotate_files
from fhir_server.serving.maintenance import AlreadyOwned
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError

HELP = "Encryption at rest: make, confirm, show, rotate and recover its keys."
_OF_A_RECORD = ("encrypt", "rotate", "copy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("--recovery-file", type=Path, help="where the recovery key is, or is to be written")
    parser.add_argument("--to", default="", metavar="KEY", help="rotate: wrap with this master key from now on")
    parser.add_argument("--wrap", action="store_true", help="rotate: only wrap anew, the data keys stay")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it on the data folder itself; only `encrypt` needs the server to be stopped."""
    if flags.action in _OF_A_RECORD or (flags.action == "status" and read_escrow(settings.data_dir) is None):
        need_record(settings)
    try:
        _ACTIONS[flags.action](settings.model_copy(update={"encryption": "on"}), flags)
    except (EncryptionFault, StoreError, AlreadyOwned, OSError) as error:
        raise CommandFailed(str(error)) from None
    return 0


def recover(settings: Settings, recovery_file: Path) -> None:
    """Wrap the keys of a folder that was just restored by its master key. Raises CommandFailed."""
    flags = argparse.Namespace(action="recover", recovery_file=recovery_file)
    run(settings, flags)


def _init(settings: Settings, flags: argparse.Namespace) -> None:
    path: Path | None = flags.recovery_file
    if path is not None and path.absolute().is_relative_to(settings.data_dir.absolute()):
        raise CommandFailed(f"{path} is within the data folder, whose loss it is to outlive: choose another place")
    if path is not None and path.exists():
        raise CommandFailed(f"{path} exists already")
    key = rotation.begin(settings)
    if path is None:
        out(key.text())
    else:
        write_new(path, key.text().encode())
        say(f"recovery key {key.public.id} is in {path}: take it away from this machine")
    say(f"master key: {name_of(settings)}")
    say("Then run `fhir-server keys confirm` with the recovery key; encryption cannot be switched on before.")


def _confirm(settings: Settings, flags: argparse.Namespace) -> None:
    rotation.confirm(settings, _recovery_key(flags))
    say("confirmed: encryption can be switched on (encryption=on)")


def _status(settings: Settings, flags: argparse.Namespace) -> None:
    escrow = read_escrow(settings.data_dir)
    state = "none" if escrow is None else f"{escrow.recovery.id} {'confirmed' if escrow.confirmed else 'NOT CONFIRMED'}"
    out(f"recovery key  {state}")
    out(f"master key    {name_of(settings)} ({_master_state(settings)})")
    out(f"patient keys  {folder_of(settings, '')} (copy: {settings.patient_keys_copy or 'NONE CONFIGURED'})")
    known = dict(rotation.rings(settings.data_dir))
    for folder in sorted(path.parent for path in settings.data_dir.glob("tenants/*/record.db")):
        ring = known.get(folder)
        if ring is None or not ring.record:
            out(f"{folder.name}  PLAIN: run `fhir-server keys encrypt`")
            continue
        old = behind(folder)
        record = "record up to date" if ring.record == ring.current else f"record under {ring.record} until a restart"
        blobs = f"{old} large objects under older keys" if old else "large objects up to date"
        wrapped = ring.keys[ring.current]
        patients = PatientKeys(folder_of(settings, folder.name), settings)
        blobs = f"{blobs}; {patients.count() - 1} patient keys" if patients.exists() else blobs
        out(f"{folder.name}  key {ring.current} of {wrapped.made}, wrapped by {wrapped.master}; {record}; {blobs}")


def _master_state(settings: Settings) -> str:
    try:
        return master_of(settings).id
    except EncryptionFault as error:
        return f"CANNOT BE USED: {error}"


def _rotate(settings: Settings, flags: argparse.Namespace) -> None:
    tenants = rotation.rotate(settings, to=flags.to, data_keys=not flags.wrap)
    say(f"the keys of {len(tenants)} tenants are wrapped anew")
    if flags.to:
        say(f"from now on set encryption_key={flags.to}")
    if flags.to or flags.wrap:
        return
    owner = owner_of(settings.data_dir)
    with suppress(AlreadyOwned):
        if owner is None:
            rotate_files(settings)
            say("records and large objects are under new keys")
            return
    waiting = _carry_on(settings)
    if waiting:
        say(f"{', '.join(waiting)}: the rest comes under the new keys in the background, or at the next start")
    else:
        say("records, large objects and patient keys are under new keys")


def _carry_on(settings: Settings) -> list[str]:
    """Have the server that runs do it now; return the tenants of which something is left."""
    try:
        with client(settings.data_dir / CONTROL_SOCKET) as door:
            waiting: list[str] = door.post("/rekey").raise_for_status().json()["waiting"]
    except httpx.HTTPError:
        return ["all tenants"]
    return waiting


def _recover(settings: Settings, flags: argparse.Namespace) -> None:
    if owner_of(settings.data_dir) is not None:
        raise CommandFailed("a server runs on this folder, so its master key works: use `fhir-server keys rotate`")
    tenants = rotation.recover(settings, _recovery_key(flags))
    say(f"the keys of {len(tenants)} tenants are wrapped by {name_of(settings)} now")


def _copy(settings: Settings, flags: argparse.Namespace) -> None:
    target = settings.patient_keys_copy
    if target is None:
        raise CommandFailed("say where the copy of the patient keys is to be: --patient-keys-copy FOLDER")
    if target.absolute().is_relative_to(settings.data_dir.absolute()):
        raise CommandFailed(f"{target} is within the data folder, whose loss it is to outlive: choose another place")
    count = copy_patient_keys(settings, target)
    say(f"the patient keys of {count} tenants are in {target}: keep this copy alone, older ones hold erased keys")


def _encrypt(settings: Settings, flags: argparse.Namespace) -> None:
    count = encrypt(settings, say)
    say(f"{count} stores encrypted; start the server with encryption=on from now on")


def _recovery_key(flags: argparse.Namespace) -> RecoveryKey:
    """Read the recovery key from its file, or as somebody types it."""
    if flags.recovery_file is not None:
        return RecoveryKey.read(flags.recovery_file.read_text())
    say("Type the recovery key (the line after `key:`):")
    return RecoveryKey.read(sys.stdin.readline())


_ACTIONS: Mapping[str, Callable[[Settings, argparse.Namespace], None]] = {
    "init": _init,
    "confirm": _confirm,
    "status": _status,
    "encrypt": _encrypt,
    "rotate": _rotate,
    "recover": _recover,
    "copy": _copy,
}
