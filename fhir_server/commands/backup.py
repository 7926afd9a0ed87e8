"""`fhir-server backup` and `restore`: a consistent copy while the server runs, and back into an empty folder."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from fhir_server.commands import privacy, reindex
from fhir_server.commands.keys import recover
from fhir_server.commands.progress import progress
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.unlocked import master_of
from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, open_door
from fhir_server.serving.encryption import needs_index, place_patient_keys
from fhir_server.serving.maintenance import AlreadyOwned, BackupRefused, restore, restore_one
from fhir_server.settings import Settings

HELP = "Copy the store, consistently, while it serves."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the target."""
    parser.add_argument("target", type=Path, help="new or empty folder for the copy")
    parser.add_argument("--tenant", default="", help="this tenant alone; without it, all")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Ask the owner for a backup and show its progress."""
    keys = str(settings.patient_keys_copy.resolve()) if settings.patient_keys_copy else ""
    request = {"target": str(flags.target.resolve()), "tenant": flags.tenant, "patient_keys": keys}
    with (
        open_door(settings) as folder,
        client(folder / CONTROL_SOCKET) as door,
        progress(" bytes") as bar,
        door.stream("POST", "/backup", json=request) as answer,
    ):
        for text in answer.iter_lines():
            line = json.loads(text)
            if "error" in line:
                raise CommandFailed(line["error"])
            if "of" in line:
                bar.total = line["of"]
                bar.update(line["done"] - bar.n)
    print(f"backup written to {flags.target}", file=sys.stderr)  # noqa: T201
    return 0


def _restore(settings: Settings, flags: argparse.Namespace) -> int:
    """Restore into the data folder, which must be without an owner, and empty unless it is for one tenant."""
    try:
        place_patient_keys(flags.source, settings, settings.patient_keys_copy, flags.tenant)
        if flags.tenant:
            asyncio.run(restore_one(flags.source, settings, flags.tenant))
        else:
            restore(flags.source, settings.data_dir)
    except (AlreadyOwned, BackupRefused, EncryptionFault, OSError) as error:
        raise CommandFailed(str(error)) from None
    print(f"restored {flags.source} into {settings.data_dir}", file=sys.stderr)  # noqa: T201
    if flags.recovery_file is not None:
        recover(settings, flags.recovery_file)
    if needs_index(settings):
        _index(settings)
    privacy.replay(settings, flags.erasures)
    return 0


def _index(settings: Settings) -> None:
    """Make the index, which a backup of an encrypted store does not hold, where the keys can be opened by now."""
    print("making the search index ...", file=sys.stderr)  # noqa: T201
    try:
        master_of(settings)
        reindex.complete(settings)
    except (EncryptionFault, CommandFailed) as error:
        print(f"{error}; after `fhir-server keys recover` run `fhir-server reindex`", file=sys.stderr)  # noqa: T201


def _add_restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="folder that `backup` wrote")
    parser.add_argument("--tenant", default="", help="this tenant alone, into a data folder without its files")
    parser.add_argument("--recovery-file", type=Path, default=None, help="recovery key, if the master key is lost")
    parser.add_argument("--erasures", type=Path, default=None, help="register of erasures; who it names goes again")


restoring = SimpleNamespace(
    HELP="Put a backup into an empty data folder.", add_arguments=_add_restore_arguments, run=_restore
)
