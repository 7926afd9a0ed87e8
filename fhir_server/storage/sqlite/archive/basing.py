"""Making a base backup in an archive, while the store serves."""

import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import lineage
from fhir_server.storage.sqlite.archive.catalog import BLOBS, Base, Facts, write_facts
from fhir_server.storage.sqlite.archive.kinship import need_kin
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.backup import RECORD, Progress, backup
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.durable import make_folder, sync, write
from fhir_server.storage.sqlite.sealing import unlock

_DRAFT: Final = ".new"


def make_base(folder: Path, tenant: Path, settings: Settings, progress: Progress) -> Base:
    """Copy the record in `folder` into the archive of its tenant; it appears under its name once it is whole.

    Raises:
        BackupRefused: the copy is not sound, there is no place for patient keys, the record has no lineage, or the
            archive is that of another record.
        StorageFull, StorageFault, OSError: the archive cannot be written.
    """
    begun = time.time()
    draft = tenant / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)  # of one that was stopped
    pool, taken = Pool(tenant / "blobs"), list[str]()

    def take(blob: str, source: Path) -> None:
        pool.take(blob, source)
        taken.append(blob)

    manifest = backup(folder, draft, settings, progress, settings.patient_keys_copy, take)
    with closing(apsw.Connection(str(draft / RECORD))) as copy:
        unlock(copy, draft / RECORD, settings)
        name, facts = _facts(copy, draft, begun)
    if not name:
        raise BackupRefused(f"{folder} has no lineage: is the archive switched on for the server that owns it?")
    need_kin(tenant, manifest.store)
    write(draft / BLOBS, "".join(f"{blob}\n" for blob in taken).encode())
    write_facts(draft, facts)
    target = tenant / name / "bases" / f"{facts.number:012d}"
    make_folder(target.parent)
    shutil.rmtree(target, ignore_errors=True)  # the same state, made before
    draft.rename(target)
    sync(target.parent)
    return Base(target, facts)


def _facts(copy: apsw.Connection, draft: Path, begun: float) -> tuple[str, Facts]:
    name, number = lineage.state(copy)
    txid, last_updated = (fetch(copy, "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1") or [(0, 0)])[0]
    audited = fetch(copy, "SELECT time FROM audit ORDER BY seq DESC LIMIT 1")
    as_of = max(last_updated, audited[0][0] if audited else 0)
    now = time.time()
    size = (draft / RECORD).stat().st_size
    return name, Facts(number, txid, as_of, int(now * 1000), round(now - begun, 3), size)
