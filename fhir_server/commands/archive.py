"""What `backup` and `restore` do with an archive: show it, verify it, prune it, restore it to an instant."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.model.version import instant
from fhir_server.serving.archiving import archived, complete_until, prune_all, tenant_folder
from fhir_server.serving.door import CommandFailed
from fhir_server.serving.maintenance import owner_of
from fhir_server.serving.recovery import Until, Wish, instant_of, restore_archive
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import catalog, segments
from fhir_server.storage.sqlite.archive.verify import verify as verify_tenant


def show(settings: Settings, flags: argparse.Namespace) -> int:
    """Print the base backups of an archive and how far each lineage reaches."""
    archive = _archive(settings, flags)
    try:
        found = {name: _lineages(tenant_folder(archive, name)) for name in _names(archive, flags)}
    except BackupRefused as error:
        raise CommandFailed(str(error)) from None
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
    problems = [problem for name in _names(archive, flags) for problem in verify_tenant(tenant_folder(archive, name))]
    for problem in problems:
        print(problem)  # noqa: T201
    _say("something is wrong" if problems else "all of it is as it was written")
    return 1 if problems else 0


def prune(settings: Settings, flags: argparse.Namespace) -> int:
    """Remove what is older than what is kept. The server does so after each base backup by itself."""
    if owner_of(settings.data_dir) is not None and settings.backup_archive is not None:
        raise CommandFailed("the server prunes its archive by itself; `backup base` makes it do so now")
    archive = _archive(settings, flags)
    for name, pruned in prune_all(archive, settings.backup_keep, archived(archive)).items():
        print(f"{name}: {pruned.bases} bases, {pruned.segments} segments, {pruned.blobs} large objects went")  # noqa: T201
    return 0


def restore(settings: Settings, flags: argparse.Namespace) -> None:
    """Restore an archive to the instant of the flags. Raises BackupRefused, EncryptionFault, ValueError."""
    until = Until(instant_of(flags.to) if flags.to else None, flags.to_txid or None)
    reached = complete_until(flags.source)
    if flags.to and instant_of(flags.to) > reached * 1000:
        known = (
            f"is complete until {instant(int(reached * 1000))}" if reached else "does not say until when it is complete"
        )
        _say(f"the archive {known}: what was committed between that and {flags.to} is not in it")
    recovery = RecoveryKey.read(flags.recovery_file.read_text()) if flags.recovery_file else None
    for name, done in restore_archive(flags.source, settings, Wish(until, flags.tenant, recovery), _say).items():
        _say(f"{name}: of {instant(done.last_updated)}, txid {done.txid}, {done.entries} entries after the base backup")
        if done.lost_blobs:
            _say(f"{name}: {len(done.lost_blobs)} large objects were removed before the archive had them")


def _lineages(tenant: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for lineage in catalog.lineages(tenant):
        bases = [asdict(base.facts) for base in catalog.bases(lineage)]
        listed = segments.listed(lineage)
        ends = listed[-1].head().ends if listed else (bases[-1]["as_of"] if bases else 0)
        size = sum(segment.path.stat().st_size for segment in listed)
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


def _archive(settings: Settings, flags: argparse.Namespace) -> Path:
    archive: Path | None = flags.archive or settings.backup_archive
    if archive is None or not archived(archive):
        said = f"{archive} is no archive" if archive else "the settings name no archive"
        raise CommandFailed(f"{said}: --archive DIR (docs/backup.md)")
    return archive


def _names(archive: Path, flags: argparse.Namespace) -> list[str]:
    return [flags.tenant] if flags.tenant else archived(archive)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
