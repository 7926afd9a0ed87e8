"""Records of claims: where each stands, what members used, what was claimed, what was authorized."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fhir_server.plugin_api import Collection, Record, RecordChange, RecordField

State = Literal["queued", "sending", "pended", "review", "decided", "refused", "cancelled", "replaced"]
OPEN: Final[frozenset[str]] = frozenset(("queued", "sending", "pended", "review"))
"""States of claims that wait for an answer."""
NEXT: Final[dict[str, frozenset[str]]] = {
    "": frozenset(("queued", "review", "decided")),
    "queued": frozenset(("sending", "cancelled")),
    "sending": frozenset(("sending", "queued", "pended", "decided", "refused", "cancelled")),
    "pended": frozenset(("pended", "decided", "refused", "cancelled", "queued")),
    "review": frozenset(("decided", "cancelled")),
    "decided": frozenset(("decided", "cancelled", "replaced")),
    "refused": frozenset(("replaced", "cancelled")),
    "cancelled": frozenset(),
    "replaced": frozenset(),
}
"""Where a claim may go from each state; it never goes another way. docs/insurance.md shows it as a picture."""

CLAIMS = Collection(
    "fhir_billing.claims",
    (
        RecordField("state"),
        RecordField("payer"),
        RecordField("patient"),
        RecordField("due", "integer"),
        RecordField("decided", "integer"),
        RecordField("trace"),
        RecordField("number"),
    ),
    patient="patient",
)
IDENTITIES = Collection("fhir_billing.claim_identities")
ACCUMULATORS = Collection("fhir_billing.accumulators", (RecordField("patient"),), patient="patient")
CLAIMED = Collection("fhir_billing.claimed", (RecordField("patient"),), patient="patient")
AUTHORIZATIONS = Collection("fhir_billing.authorizations", (RecordField("patient"),), patient="patient")
COLLECTIONS: Final = (CLAIMS, IDENTITIES, ACCUMULATORS, CLAIMED, AUTHORIZATIONS)


class WrongWay(Exception):
    """A claim cannot go from one state to another."""


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """Where a claim stands.

    value: state, payer (name of the adapter), patient, coverage, response, eob, use, currency, submitted, paid, owes,
    denied ([group, reason, amount]), entries (ledger keys), used, seen, spent, due, attempts, trace, decided, number
    (as payers keep it).
    """

    id: str
    value: dict[str, Any] = field(default_factory=dict)
    revision: int = 0

    @property
    def state(self) -> str:
        """The state; empty for a claim that was never submitted."""
        return str(self.value.get("state", ""))

    def change(self, state: State, **more: Any) -> RecordChange:
        """Return the change that brings it to a state. Raises WrongWay."""
        if state not in NEXT[self.state]:
            raise WrongWay(f"a claim that is {self.state or 'new'} cannot become {state}")
        return RecordChange(CLAIMS.name, self.id, {**self.value, **more, "state": state}, expected=self.revision)


def claim_record(id_: str, record: Record | None) -> ClaimRecord:
    """Return where a claim stands."""
    return ClaimRecord(id_) if record is None else ClaimRecord(id_, dict(record.value), record.revision)
