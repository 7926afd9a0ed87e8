"""Digests over all that a store holds, read in pages, so that both ends of a move can be compared."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from fhir_server.storage.moving import Kept, KeptBlob, LogEnd

PARTS: Final = ("versions", "blobs", "audit", "records")
_PAGE: Final = 1_000

Say = Callable[[str, int], None]
_encode = msgspec.msgpack.Encoder(enc_hook=int).encode  # drivers have kinds of integers of their own


@dataclass(frozen=True, slots=True)
class Digest:
    """How many of something there are, and the SHA-256 over all of them in their order."""

    count: int
    sha256: str


class _Sum:
    def __init__(self, part: str, say: Say) -> None:
        self._part, self._say, self._hash, self._count = part, say, sha256(), 0

    def add(self, *values: Any) -> None:
        """Take one thing."""
        self._hash.update(_encode(values))
        self._count += 1

    def page(self, size: int) -> None:
        """Tell that a page was read."""
        self._say(self._part, size)

    def done(self) -> Digest:
        """Return the digest."""
        return Digest(self._count, self._hash.hexdigest())


async def digests_of(kept: Kept, end: LogEnd, say: Say, *, reread: bool) -> dict[str, Digest]:
    """Return the digest of each part of a store.

    Args:
        end: where the log and the audit end that are meant.
        reread: read the bytes of large objects again, rather than believing the digest that is kept of each.
    """
    return {
        "versions": await _log(kept, end, _Sum("versions", say)),
        "blobs": await _blobs(kept, _Sum("blobs", say), reread=reread),
        "audit": await _audit(kept, end, _Sum("audit", say)),
        "records": await _records(kept, _Sum("records", say)),
    }


async def _log(kept: Kept, end: LogEnd, total: _Sum) -> Digest:
    after = 0
    while page := await kept.log(after, _PAGE):
        for each in page:
            version = each.version
            if version.pid > end.pid:
                return total.done()
            total.add(
                version.pid, version.key.type, version.key.id, version.version, version.txid, version.last_updated,
                version.method, version.body.splice, version.body.data, each.ended,
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


async def _audit(kept: Kept, end: LogEnd, total: _Sum) -> Digest:
    at = end.first_audited
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
