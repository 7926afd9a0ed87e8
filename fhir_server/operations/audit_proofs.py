"""`$tree-head`, `$inclusion-proof` and `$consistency-proof`: what an auditor checks the audit log with.

Spec: https://www.rfc-editor.org/rfc/rfc9162
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import asdict

from fhir_server.audit.ledger import Ledger, kept_leaves, leaf_of
from fhir_server.audit.merkle import Range, consistency, inclusion, leaf_hash
from fhir_server.audit.sight import sees_all
from fhir_server.context import Context
from fhir_server.errors import BadValue, Forbidden, NotFound
from fhir_server.model.json import encode
from fhir_server.model.version import instant
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs


async def _head(ctx: Context, call: Call) -> Outputs:
    head = await _ledger(ctx).head()
    return Outputs(
        [
            ("log", head.log), ("size", head.size), ("root", head.root), ("time", instant(head.time)),
            ("key", head.key), ("signature", head.signature), ("line", encode(asdict(head)).decode()),
        ]
    )  # fmt: skip


async def _inclusion(ctx: Context, call: Call) -> Outputs:
    """Prove that an event is in the tree, also one that retention has removed.

    Raises:
        NotFound: there never was such an event.
        BadValue: the tree of that size does not have it.
    """
    ledger, id_ = _ledger(ctx), call.request.id or ""
    size = await _size(ledger, call.inputs.one("size", 0), "size")
    seq = int(id_) if id_.isascii() and id_.isdigit() and len(id_) < 16 else 0
    entry = await ctx.store.audit.read(seq)
    kept = [] if entry is not None or seq < 1 else await kept_leaves(ctx.store.records, seq - 1, 1)
    if entry is None and not kept:
        raise NotFound(f"there is no AuditEvent/{id_}", expression="http.url")
    if seq > size:
        raise BadValue(f"the tree of {size} events does not have AuditEvent/{id_} yet", expression="size")
    path = await _hashes(ledger, inclusion(seq - 1, size))
    values = [("index", seq - 1), ("size", size), ("root", _text(await ledger.hash_of((0, size))))]
    if entry is not None:
        values.append(("entry", _text(leaf_of(entry))))
    values.append(("leaf", _text(kept[0] if entry is None else leaf_hash(leaf_of(entry)))))
    return Outputs([*values, *(("hash", each) for each in path)])


async def _consistency(ctx: Context, call: Call) -> Outputs:
    ledger = _ledger(ctx)
    second = await _size(ledger, call.inputs.one("second", 0), "second")
    first = call.inputs.one("first", 0)
    if first > second:
        raise BadValue(f"first is {first}, but second {second}", expression="first")
    path = await _hashes(ledger, consistency(first, second))
    return Outputs([("first", first), ("second", second), *(("hash", each) for each in path)])


def _ledger(ctx: Context) -> Ledger:
    """Return the ledger of the tenant. Raises Forbidden: the caller is no auditor."""
    if not sees_all(ctx.caller):
        raise Forbidden("the ledger of the audit is for auditors and administrators", expression="http.url")
    return Ledger(ctx.store, ctx.now)


async def _size(ledger: Ledger, asked: int, name: str) -> int:
    newest = (await ledger.head()).size
    if asked > newest:
        raise BadValue(f"the log has {newest} events only", expression=name)
    return asked or newest


async def _hashes(ledger: Ledger, spans: Iterable[Range]) -> list[str]:
    return [_text(await ledger.hash_of(span)) for span in spans]


def _text(data: bytes) -> str:
    return b64encode(data).decode()


AUDIT_OPERATIONS = (
    CoreOperation(own("audit-tree-head"), _head, "The signed head of the audit log's Merkle tree."),
    CoreOperation(own("audit-inclusion-proof"), _inclusion, "Proof that an event is in the audit log."),
    CoreOperation(own("audit-consistency-proof"), _consistency, "Proof that the audit log has only grown."),
)
