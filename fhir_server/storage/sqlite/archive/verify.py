"""Looking through an archive without restoring it: every sum, every number, and that nothing is missing between."""

from pathlib import Path

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.catalog import BLOBS, Base, bases, following, lineages
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.backup import read_manifest
from fhir_server.storage.sqlite.durable import digest


def verify(tenant: Path) -> list[str]:
    """Return what is wrong with the archive of a tenant, in words that name the file; nothing for a sound one."""
    problems: list[str] = []
    for lineage in lineages(tenant):
        found = bases(lineage)
        for base in found:
            problems += _verify_base(base, Pool(tenant / "blobs"))
        if found:
            problems += _verify_segments(lineage, found[0])
    if not any(bases(lineage) for lineage in lineages(tenant)):
        problems.append(f"{tenant} holds no complete base backup")
    return problems


def _verify_base(base: Base, pool: Pool) -> list[str]:
    try:
        manifest = read_manifest(base.folder)
    except BackupRefused as error:
        return [str(error)]
    wrong = [name for name, wanted in manifest.files.items() if digest(base.folder / name) != wanted]
    listed = base.folder / BLOBS
    blobs = listed.read_text().split() if listed.exists() else []
    missing = [str(pool.path(blob)) for blob in blobs if not pool.path(blob).exists()]
    return [f"{base.folder / name} is not what the backup wrote" for name in wrong] + [
        f"{path} is missing" for path in missing
    ]


def _verify_segments(lineage: Path, first: Base) -> list[str]:
    """Read all segments after the oldest base; a gap that a later base heals is none."""
    problems: list[str] = []
    number, txid = first.facts.number, first.facts.txid
    starts = {base.facts.number for base in bases(lineage)}
    try:
        segments = following(lineage, first)
    except BackupRefused as error:
        newest = bases(lineage)[-1]
        if newest.folder == first.folder:
            return [str(error)]
        return _verify_segments(lineage, newest)
    for segment in segments:
        try:
            _, entries = segment.read()
        except BackupRefused as error:
            problems.append(str(error))
            number = -1
            continue
        for entry in entries:
            if entry.number == number + 1 and entry.before != txid and number not in starts:
                problems.append(f"{segment.path}: entry {entry.number} does not follow the one before it")
            number, txid = entry.number, entry.txid
    return problems
