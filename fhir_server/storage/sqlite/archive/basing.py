"""Making a base backup in an archive, while the store serves."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import lineage
from fhir_server.storage.sqlite.archive.catalog import BASE, BLOBS, Base, Facts, facts_of
from fhir_server.storage.sqlite.archive.kinship import need_kin
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.archive.pruning import remove_base
from fhir_server.storage.sqlite.archive.spool import FOLDER
from fhir_server.storage.sqlite.backup import RECORD, Progress, backup
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.durable import write
from fhir_server.storage.sqlite.sealing import unlock


def make_base(folder: Path, tenant: Spot, settings: Settings, progress: Progress) -> Base:
    """Copy the record in `folder` into the archive of its tenant; it appears under its name once it is whole.

    Raises:
        BackupRefused: the copy is not sound, there is no place for patient keys, the record has no lineage, or the
            archive is that of another record.
        StorageFull, StorageFault, OSError: the archive cannot be written.
    """
    begun, size = time.time(), (folder / RECORD).stat().st_size
    with tenant.place.draft(tenant.at, folder / FOLDER, size) as draft:
        pool, taken = Pool(tenant / "blobs"), list[str]()

        def take(blobs: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Callable[[], object]]]:
            for blob, outcome in pool.take_all(blobs):
                taken.append(blob)
                yield blob, outcome

        manifest = backup(folder, draft, settings, progress, settings.patient_keys_copy, take)
        with closing(apsw.Connection(str(draft / RECORD))) as copy:
            unlock(copy, draft / RECORD, settings)
            name, facts = _facts(copy, draft, begun)
            there = {str(blob) for (blob,) in fetch(copy, "SELECT id FROM blob")}
        if not name:
            raise BackupRefused(f"{folder} has no lineage: is the archive switched on for the server that owns it?")
        need_kin(tenant, manifest.store)
        write(draft / BLOBS, "".join(f"{blob}\n" for blob in taken if blob in there).encode())
        write(draft / BASE, facts_of(facts))
        return _bring(draft, tenant / name / "bases", facts)


def _bring(draft: Path, bases: Spot, facts: Facts) -> Base:
    """Bring it to its place; one of the same state that was made before goes when this one is there."""
    number = f"{facts.number:012d}"
    before = [known for known in bases.folders() if known.partition("-")[0] == number]
    target = bases / (f"{number}-{facts.made}" if before else number)
    target.place.put_folder(draft, target.at, BASE)
    for known in before:
        remove_base(bases / known)
    return Base(target, facts)


def _facts(copy: apsw.Connection, draft: Path, begun: float) -> tuple[str, Facts]:
    name, number = lineage.state(copy)
    txid, last_updated = (fetch(copy, "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1") or [(0, 0)])[0]
    audited = fetch(copy, "SELECT time FROM audit ORDER BY seq DESC LIMIT 1")
    as_of = max(last_updated, audited[0][0] if audited else 0)
    now = time.time()
    size = (draft / RECORD).stat().st_size
    return name, Facts(number, txid, as_of, int(now * 1000), round(now - begun, 3), size)
