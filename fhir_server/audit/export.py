"""The audit log as lines of JSON: as it is hashed, or as AuditEvents."""

from base64 import b64encode
from collections.abc import AsyncIterator

import msgspec

from fhir_server.audit.ledger import leaf_of
from fhir_server.audit.merkle import leaf_hash
from fhir_server.audit.render import View, version_of
from fhir_server.storage.audit import AuditEntry, AuditLog

_STEP = 1_000


async def lines(log: AuditLog, after: int = 0, *, fhir: bool = False) -> AsyncIterator[bytes]:
    """Yield a line for each row after a seq, oldest first."""
    size = await log.size()
    for first in range(max(after + 1, await log.first()), size + 1, _STEP):
        for entry in await log.span(first, min(first + _STEP - 1, size)):
            yield fhir_line(entry) if fhir else plain_line(entry)


def fhir_line(entry: AuditEntry) -> bytes:
    """Return the AuditEvent of a row."""
    return version_of(entry, View("")).stamped() + b"\n"


def plain_line(entry: AuditEntry) -> bytes:
    """Return a row with the hash that it has as a leaf of the ledger."""
    leaf = leaf_hash(leaf_of(entry))
    row = {
        "seq": entry.seq, "time": entry.time, "agent": entry.agent,
        "body": b64encode(entry.body).decode(), "leaf": b64encode(leaf).decode(),
    }  # fmt: skip
    return msgspec.json.encode(row) + b"\n"
