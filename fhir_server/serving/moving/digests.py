"""Digests over all that a store holds, read in pages, so that both ends of a move can be compared."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from fhir_server.storage.moving import Kept, KeptBlob, LogEnd

_PAGE: Final = 1_000

Say = Callable[[str, int], None]
_encode = msgspec.msgpack.Encoder(enc_hook=int).encode  # drivers have kinds of integers of their own


@dataclass(frozen=True, slots=True)
class Digest:
    """How many of something there are, and the SHA-256 over all of them in their order."""

    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Proved:
    """What both ends were found to have the same of: the log up to a pid, the audit up to a seq. A digest over more
    begins with that over this."""

    pid: int = 0
    seq: int = 0
    versions: Digest = Digest(0, "")
    audit: Digest = Digest(0, "")


class _Sum:
    def __init__(self, part: str, say: Say, before: Digest = Digest(0, "")) -> None:
        self._part, self._say, self._count = part, say, before.count
        self._hash = sha256(before.sha256.encode())
        self._empty = before

    def add(self, *values: Any) -> None:
        """Take one thing."""
        self._hash.update(_encode(values))
        self._count += 1

    def page(self, size: int) -> None:
        """Tell that a page was read."""
        self._say(self._part, size)

    def done(self) -> Digest:
        """Return the digest."""
        return self._empty if self._count == self._empty.count else Digest(self._count, self._hash.hexdigest())


async def grown_by(kept: Kept, end: LogEnd, say: Say, proved: Proved) -> Proved:
    """Return the digests of what only grows: log and audit up to their end, beginning with what is proved."""
    log = await _log(kept, end, _Sum("versions", say, proved.versions), proved.pid)
    audit = await _audit(kept, end, _Sum("audit", say, proved.audit), max(proved.seq + 1, end.first_audited))
    return Proved(end.pid, end.audited, log, audit)


async def digests_of(kept: Kept, say: Say, *, reread: bool) -> dict[str, Digest]:
    """Return the digests of the other parts of a store.

    Args:
        reread: read the bytes of large objects again, rather than believing the digest that is kept of each.
    """
    total = _Sum("current", say)
    for type_, number in sorted((await kept.standing()).items()):
        total.add(type_, number)
    return {
        "current": total.done(),
        "blobs": await _blobs(kept, _Sum("blobs", say), reread=reread),
        "records": await _records(kept, _Sum("records", say)),
    }


async def _log(kept: Kept, end: LogEnd, total: _Sum, after: int) -> Digest:
    while page := await kept.log(after, _PAGE):
        for each in page:
            version = each.version
            if version.pid > end.pid:
                return total.done()
            total.add(
                version.pid, version.key.type, version.key.id, version.version, version.txid, version.last_updated,
                version.method, version.body.splice, version.body.data,
            )  # fmt: skip
        total.page(len(page))
        after = page[-1].version.pid
    return total.done()


async def _blobs(kept: Kept, total: _Sum, *, reread: bool) -> Digest:
    after = ""
    while page := await kept.blobs(after, _PAGE):
        for blob in page:
            found = await _read(kept, blob) if reread else blob.ref.sha256
            total.add(blob.ref.id, blob.ref.size, blob.ref.sha256, found, blob.patient)
        total.page(len(page))
        after = page[-1].ref.id
    return total.done()


async def _read(kept: Kept, blob: KeptBlob) -> str:
    digest = sha256()
    async for chunk in await kept.blob(blob.ref.id):
        digest.update(chunk)
    return digest.hexdigest()


async def _audit(kept: Kept, end: LogEnd, total: _Sum, at: int) -> Digest:
    while at <= end.audited:
        rows = await kept.audit.span(at, min(at + _PAGE - 1, end.audited))
        for row in rows:
            total.add(row.seq, row.time, row.agent, row.body)
        total.page(len(rows))
        at += _PAGE
    return total.done()


async def _records(kept: Kept, total: _Sum) -> Digest:
    for collection in await kept.records.collections():
        fields = [(field.name, field.kind, field.unique) for field in collection.fields]
        total.add(collection.name, fields, collection.patient, collection.version)
        after: str | None = None
        while page := await kept.records.find(collection.name, after=after, limit=_PAGE):
            for record in page:
                total.add(record.key, record.revision, json.dumps(record.value, ensure_ascii=False))
            total.page(len(page))
            after = page[-1].key
    return total.done()
