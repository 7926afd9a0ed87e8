"""Whose record an archive holds: an empty data folder must not take the place of the one that was lost.

A record keeps its id for ever, through backups and restores. One that was just made, because its volume was gone, has
another: its line would be the newest of the archive, and a restore to the newest would bring back next to nothing.
"""

from collections.abc import Iterator

from fhir_server.model.version import instant
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.catalog import Base, bases, lineages
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.segments import listed

WAY_OUT = (
    "restore it into an empty data folder (`fhir-server restore`), name another archive, or set this one aside "
    "(`fhir-server backup anew`)"
)


def need_kin(tenant: Spot, store: str) -> None:
    """See that a record may begin a line in the archive of a tenant: it has none yet, or lines of that record.

    Raises:
        BackupRefused: it holds another record.
    """
    known = dict(_stores(tenant))
    if known and store not in known.values():
        raise BackupRefused(
            f"{tenant} holds another record than this data folder, with {_reach(list(known)[-1])}: {WAY_OUT}"
        )


def overshadowed(tenant: Spot, chosen: Spot) -> str:
    """Say what an older line of another record holds beyond the one that is chosen; nothing where that is not so.

    Archives may have such lines from before they were refused.
    """
    known = dict(_stores(tenant))
    txid, _ = _end(chosen)
    other = [
        each for each in known if each.name < chosen.name and known[each] != known.get(chosen) and _end(each)[0] > txid
    ]
    if not other:
        return ""
    ends = instant(_end(other[-1])[1])
    return (
        f"{chosen} was begun by an empty data folder and has commits up to txid {txid}; an older line of another, "
        f"{other[-1].name}, has {_reach(other[-1])}: `restore --to {ends}` restores that one"
    )


def _stores(tenant: Spot) -> Iterator[tuple[Spot, str]]:
    """Yield each line with the id of its record, oldest first; those without a base backup that can be read lead
    nowhere."""
    for lineage in lineages(tenant):
        for base in reversed(bases(lineage)):
            store = _store(base)
            if store:
                yield lineage, store
                break


def _store(base: Base) -> str:
    try:
        return base.manifest().store
    except BackupRefused:
        return ""


def _reach(lineage: Spot) -> str:
    txid, time = _end(lineage)
    return f"commits up to txid {txid}, {instant(time)}"


def _end(lineage: Spot) -> tuple[int, int]:
    """Return the newest commit of a line, and its time in milliseconds."""
    ends = [(base.facts.txid, base.facts.as_of) for base in bases(lineage)]
    for segment in listed(lineage)[-1:]:
        try:
            head = segment.head()
            ends.append((head.txid, head.ends))
        except BackupRefused:  # the base backups are left
            pass
    return max(ends, default=(0, 0))
