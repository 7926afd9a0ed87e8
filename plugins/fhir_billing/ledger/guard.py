"""The check of writes: derived fields of the ledger's documents are written by the ledger alone."""

from typing import Any, Final

from fhir_billing.ledger.booking import is_writing
from fhir_billing.ledger.documents import owned
from fhir_server.plugin_api import Finding, PluginContext, Verdict, Write, WriteCheck

FREE: Final[dict[str, frozenset[str]]] = {
    "Account": frozenset(("identifier", "name", "description", "owner", "servicePeriod", "type")),
    "Claim": frozenset(),
    "ClaimResponse": frozenset(),
    "ExplanationOfBenefit": frozenset(),
    "ChargeItem": frozenset(("note", "supportingInformation", "reason")),
    "Invoice": frozenset(("note", "participant")),
    "PaymentNotice": frozenset(),
    "PaymentReconciliation": frozenset(("processNote",)),
}
"""What others may change of a document of the ledger; `text`, `meta` and `id` besides. All else is derived."""
_ALWAYS: Final = frozenset(("resourceType", "id", "meta", "text", "implicitRules", "language"))


async def check(ctx: PluginContext, write: Write) -> Verdict | None:
    """Refuse what would change a derived field, and the deletion of a document."""
    if is_writing() or await owned(ctx.store, f"{write.type}/{write.id}") is None:
        return None
    if write.resource is None:
        return Verdict([Finding("this document stands in the books: correct it by a reversal", write.type)])
    changed = _changed(write.before or {}, write.resource) - FREE[write.type] - _ALWAYS
    return Verdict([_finding(write.type, name) for name in sorted(changed)]) if changed else None


def _changed(before: Any, after: Any) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def _finding(type_: str, name: str) -> Finding:
    return Finding(f"{name} is derived from the ledger: use the operations of billing", f"{type_}.{name}")


CHECKS: Final = (WriteCheck(check, tuple(FREE)),)
