"""Looking through an archive without restoring it: every sum, every number, and that nothing is missing between."""

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.catalog import BLOBS, Base, bases, following, lineages
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.pool import Pool


def verify(tenant: Spot) -> list[str]:
    """Return what is wrong with the archive of a tenant, in words that name the file; nothing for a sound one.

    Raises:
        BackupRefused, OSError: it cannot be read.
    """
    problems: list[str] = []
    pool = Pool(tenant / "blobs")
    held = pool.held()
    for lineage in lineages(tenant):
        found = bases(lineage)
        for base in found:
            problems += _verify_base(base, pool, held)
        if found:
            problems += _verify_segments(lineage, found[0])
    if not any(bases(lineage) for lineage in lineages(tenant)):
        problems.append(f"{tenant} holds no complete base backup")
    return problems


def _verify_base(base: Base, pool: Pool, held: set[str]) -> list[str]:
    try:
        manifest = base.manifest()
        blobs = (base.spot / BLOBS).get().decode().split()
    except BackupRefused as error:
        return [str(error)]
    except FileNotFoundError:
        blobs = []
    spots = [(base.spot / name, wanted) for name, wanted in manifest.files.items()]
    wrong = [f"{spot} is not what the backup wrote" for spot, wanted in spots if spot.place.digest(spot.at) != wanted]
    return wrong + [f"{pool.spot(blob)} is missing" for blob in blobs if blob not in held]


def _verify_segments(lineage: Spot, first: Base) -> list[str]:
    """Read all segments after the oldest base; a gap that a later base heals is none."""
    problems: list[str] = []
    number, txid = first.facts.number, first.facts.txid
    starts = {base.facts.number for base in bases(lineage)}
    try:
        segments = following(lineage, first)
    except BackupRefused as error:
        newest = bases(lineage)[-1]
        if newest.spot == first.spot:
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
                problems.append(f"{segment.spot}: entry {entry.number} does not follow the one before it")
            number, txid = entry.number, entry.txid
    return problems
