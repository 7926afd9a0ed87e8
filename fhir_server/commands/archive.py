"""What `backup` and `restore` do with an archive: show, verify, prune it, set it aside, restore it to an instant."""

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.model.version import instant
from fhir_server.serving.archive_contents import archived, left, prune_all, tenant_folder
from fhir_server.serving.archiving_claim import complete_until, held, renewed
from fhir_server.serving.archiving_identity import Identity
from fhir_server.serving.door import CommandFailed
from fhir_server.serving.maintenance import owner_of
from fhir_server.serving.recovery import Until, Wish, instant_of, restore_archive
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import catalog, segments
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.verify import verify as verify_tenant
from fhir_server.tenancy.erasures import NAME


def show(settings: Settings, flags: argparse.Namespace) -> int:
    """Print the base backups of an archive and how far each lineage reaches."""
    archive = _archive(settings, flags)
    with _refusals():
        found = {name: _lineages(tenant_folder(archive, name)) for name in _names(archive, flags)}
        until = complete_until(archive)
    if flags.json:
        print(json.dumps({"complete_until": until, "tenants": found}))  # noqa: T201
        return 0
    print(f"complete until {instant(int(until * 1000)) if until else 'it does not say'}")  # noqa: T201
    for name, lineages in found.items():
        for lineage in lineages:
            print(_text(name, lineage))  # noqa: T201
    return 0


def verify(settings: Settings, flags: argparse.Namespace) -> int:
    """Read all of an archive and tell what is wrong; the exit status is 1 where something is."""
    archive = _archive(settings, flags)
    with _refusals():
        names = _names(archive, flags)
        problems = [problem for name in names for problem in verify_tenant(tenant_folder(archive, name))]
    for problem in problems:
        print(problem)  # noqa: T201
    _say("something is wrong" if problems else "all of it is as it was written")
    return 1 if problems else 0


def prune(settings: Settings, flags: argparse.Namespace) -> int:
    """Remove what is older than what is kept. The server does so after each base backup by itself."""
    if owner_of(settings.data_dir) is not None and settings.backup_archive is not None:
        raise CommandFailed("the server prunes its archive by itself; `backup base` makes it do so now")
    archive = _archive(settings, flags)
    with _refusals():
        with _held(archive, settings, "prune"):
            gone = prune_all(archive, settings.backup_keep, archived(archive))
        said = left(archive, gone)
    for name, pruned in gone.items():
        print(f"{name}: {pruned.bases} bases, {pruned.segments} segments, {pruned.blobs} large objects went")  # noqa: T201
    if said:
        _say(said)
    return 0


def anew(settings: Settings, flags: argparse.Namespace) -> int:
    """Set all that an archive holds aside, within it, so that another data folder may begin there."""
    with _refusals():
        archive = _named(settings, flags)
        identity = Identity(settings.data_dir, archive)
        if not archived(archive) and identity.remembered():
            identity.forget()
            _say(f"{archive} is empty; what {settings.data_dir} has goes there as a new archive")
            return 0
        archive = _archive(settings, flags)
        aside = archive / time.strftime("before-%Y%m%dT%H%M%SZ", time.gmtime())
        with _held(archive, settings, "anew"):
            with suppress(FileNotFoundError):  # a copy first: a restore of either must find who was erased
                (aside / NAME).put((archive / NAME).get())
            archive.place.move("tenants", (aside / "tenants").at)
            archive.remove([NAME])
        renewed(archive)  # it was complete; what begins here is not yet
    _say(f"what {archive} held is in {aside}, an archive of its own: it can be restored, nothing prunes it")
    return 0


def restore(settings: Settings, flags: argparse.Namespace) -> None:
    """Restore an archive to the instant of the flags. Raises BackupRefused, EncryptionFault, ValueError,
    OSError."""
    until = Until(instant_of(flags.to) if flags.to else None, flags.to_txid or None)
    source = open_archive(flags.source, settings)
    reached = complete_until(source)
    if flags.to and instant_of(flags.to) > reached * 1000:
        known = (
            f"is complete until {instant(int(reached * 1000))}" if reached else "does not say until when it is complete"
        )
        _say(f"the archive {known}: what was committed between that and {flags.to} is not in it")
    recovery = RecoveryKey.read(flags.recovery_file.read_text()) if flags.recovery_file else None
    for name, done in restore_archive(source, settings, Wish(until, flags.tenant, recovery), _say).items():
        _say(f"{name}: of {instant(done.last_updated)}, txid {done.txid}, {done.entries} entries after the base backup")
        if until.txid is not None and done.txid < until.txid:
            _say(f"{name}: that line of the archive ends there, before txid {until.txid}")
        if done.lost_blobs:
            _say(f"{name}: {len(done.lost_blobs)} large objects were removed before the archive had them")


def _lineages(tenant: Spot) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for lineage in catalog.lineages(tenant):
        bases = [asdict(base.facts) for base in catalog.bases(lineage)]
        listed = segments.listed(lineage)
        ends = listed[-1].head().ends if listed else (bases[-1]["as_of"] if bases else 0)
        size = sum(segment.size for segment in listed)
        found.append({"lineage": lineage.name, "bases": bases, "segments": len(listed), "bytes": size, "ends": ends})
    return found


def _text(name: str, lineage: dict[str, Any]) -> str:
    lines = [f"{name} {lineage['lineage']}: {lineage['segments']} segments, {lineage['bytes'] / 1e6:.1f} MB, "
             f"newest of {instant(lineage['ends'])}"]  # fmt: skip
    lines += [
        f" base of {instant(base['made'])}, txid {base['txid']}, {base['size'] / 1e6:.1f} MB in {base['seconds']:.1f} s"
        for base in lineage["bases"]
    ]
    return "\n".join(lines)


def _held(archive: Spot, settings: Settings, action: str) -> AbstractContextManager[None]:
    me = f"{socket.gethostname()}: backup {action} (process {os.getpid()})"
    return held(archive, me, settings.backup_every)


@contextmanager
def _refusals() -> Iterator[None]:
    """Say why an archive does not do something."""
    try:
        yield
    except (BackupRefused, OSError) as error:
        raise CommandFailed(str(error)) from None


def _named(settings: Settings, flags: argparse.Namespace) -> Spot:
    archive: Path | str | None = flags.archive or settings.backup_archive
    if archive is None:
        raise CommandFailed("the settings name no archive: --archive DIR (docs/backup.md)")
    return open_archive(archive, settings)


def _archive(settings: Settings, flags: argparse.Namespace) -> Spot:
    archive = _named(settings, flags)
    with _refusals():
        if not archived(archive):
            raise CommandFailed(f"{archive} is no archive: --archive DIR (docs/backup.md)")
    return archive


def _names(archive: Spot, flags: argparse.Namespace) -> list[str]:
    held = archived(archive)
    if flags.tenant and flags.tenant not in held:
        raise CommandFailed(f"{archive} holds nothing of the tenant {flags.tenant[:80]!r}")
    return [flags.tenant] if flags.tenant else held


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
