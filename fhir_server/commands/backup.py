"""`fhir-server backup` and `restore`: a consistent copy while the server runs, the archive, and back from either."""

import argparse
import asyncio
import json
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

from fhir_server.commands import archive, privacy, reindex
from fhir_server.commands.keys import recover
from fhir_server.commands.progress import progress
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.unlocked import master_of
from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.serving.encryption import needs_index, place_patient_keys
from fhir_server.serving.maintenance import AlreadyOwned, BackupRefused, restore, restore_one
from fhir_server.serving.recovery import bring_register, is_archive
from fhir_server.serving.reviving import make_indexes
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError
from fhir_server.storage.sqlite.archive.places.opening import open_archive

HELP = "Copy the store, consistently, while it serves; or look after the archive."
_OF_THE_ARCHIVE = {"list": archive.show, "verify": archive.verify, "prune": archive.prune, "anew": archive.anew}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the target, or what to do with the archive."""
    parser.add_argument(
        "target",
        help="new or empty folder for the copy; or `base` (a base backup into the archive, now), `list`, `verify`, "
        "`prune`, `anew` (set aside what it holds; a folder of such a name is ./NAME)",
    )
    parser.add_argument("--tenant", default="", help="this tenant alone; without it, all")
    parser.add_argument("--archive", default=None, help="the archive, a folder or bucket; else that of the setting")
    parser.add_argument("--json", action="store_true", help="list: as JSON")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Ask the owner for a backup and show its progress, or look after the archive."""
    if flags.target in _OF_THE_ARCHIVE:
        return _OF_THE_ARCHIVE[flags.target](settings, flags)
    need_record(settings)
    base = flags.target == "base"
    keys = str(settings.patient_keys_copy.resolve()) if settings.patient_keys_copy else ""
    target = "" if base else str(Path(flags.target).resolve())
    _ask(settings, {"target": target, "tenant": flags.tenant, "patient_keys": keys, "base": base})
    said = "a base backup was added to the archive" if base else f"backup written to {flags.target}"
    print(said, file=sys.stderr)  # noqa: T201
    return 0


def _ask(settings: Settings, request: dict[str, object]) -> None:
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


def _restore(settings: Settings, flags: argparse.Namespace) -> int:
    """Restore into the data folder, which must be without an owner, and empty unless it is for one tenant."""
    settings = settings.model_copy(update={"backup_archive": None})  # whoever only looks at it keeps no archive of it
    try:
        archived = is_archive(open_archive(flags.source, settings))
        if archived:
            archive.restore(settings, flags)
        elif flags.to or flags.to_txid:
            raise BackupRefused(f"{flags.source} is one backup, of one instant: --to needs an archive")
        else:
            _restore_backup(settings, flags)
    except (AlreadyOwned, BackupRefused, EncryptionFault, StoreError, OSError, ValueError) as error:
        raise CommandFailed(str(error)) from None
    print(f"restored {flags.source} into {settings.data_dir}", file=sys.stderr)  # noqa: T201
    if flags.recovery_file is not None and not archived:
        recover(settings, flags.recovery_file)
    _make_indexes(settings)
    if archived and flags.erasures is None:
        _bring_register(settings, flags)
    with open_door(settings) if archived else nullcontext():  # one start for both
        if archived or needs_index(settings):
            _index(settings)
        privacy.replay(settings, flags.erasures)
    return 0


def _bring_register(settings: Settings, flags: argparse.Namespace) -> None:
    try:
        bring_register(open_archive(flags.source, settings), settings)
    except OSError as error:
        raise CommandFailed(
            f"the register of erasures is not brought, so who was erased may be back: {error}"
        ) from None


def _restore_backup(settings: Settings, flags: argparse.Namespace) -> None:
    flags.source = Path(flags.source)
    place_patient_keys(flags.source, settings, settings.patient_keys_copy, flags.tenant)
    if flags.tenant:
        asyncio.run(restore_one(flags.source, settings, flags.tenant))
    else:
        restore(flags.source, settings.data_dir)


def _make_indexes(settings: Settings) -> None:
    """Make the index where the backup held none, before a server is waited for. Where that cannot be, its start says
    why, and goes on with it."""
    with suppress(EncryptionFault, StoreError), progress(" resources") as bar:

        def show(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        make_indexes(settings, show)


def _index(settings: Settings) -> None:
    """Bring the index of what was restored to the parameters in force, where the keys can be opened by now."""
    try:
        if needs_index(settings):
            master_of(settings)
        reindex.complete(settings)
    except (EncryptionFault, CommandFailed) as error:
        print(f"{error}; after `fhir-server keys recover` run `fhir-server reindex`", file=sys.stderr)  # noqa: T201


def _add_restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="folder that `backup` wrote, or an archive: a folder or s3://bucket/prefix")
    parser.add_argument(
        "--to", default="", help="of an archive: the instant, such as 2026-11-22T17:05:00Z; else newest"
    )
    parser.add_argument("--to-txid", type=int, default=0, help="of an archive: the last commit, by its txid")
    parser.add_argument("--tenant", default="", help="this tenant alone, into a data folder without its files")
    parser.add_argument("--recovery-file", type=Path, default=None, help="recovery key, if the master key is lost")
    parser.add_argument("--erasures", type=Path, default=None, help="register of erasures; who it names goes again")


restoring = SimpleNamespace(
    HELP="Put a backup, or an archive as of an instant, into an empty data folder.",
    add_arguments=_add_restore_arguments,
    run=_restore,
)
