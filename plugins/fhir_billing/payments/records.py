"""The records of payments: payments, refunds, requests that came, events of processors, rates."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.states import State
from fhir_server.plugin_api import Collection, PluginStore, Record, RecordChange, RecordField

PAYMENTS: Final = Collection(
    "fhir_billing.payments",
    (
        RecordField("state"),
        RecordField("due", "integer"),
        RecordField("invoice"),
        RecordField("processor_ref"),
        RecordField("short"),
        RecordField("processor"),
        RecordField("at", "integer"),
    ),
)
REFUNDS: Final = Collection("fhir_billing.refunds", (RecordField("state"), RecordField("payment")))
REQUESTS: Final = Collection("fhir_billing.requests")
"""By Idempotency-Key: what was asked under it, and what came of it."""
EVENTS: Final = Collection("fhir_billing.events", (RecordField("state"), RecordField("at", "integer")))
"""By processor and its id of the event: each is taken in once."""
RATES: Final = Collection("fhir_billing.rates", (RecordField("pair"), RecordField("at", "integer")))
COLLECTIONS: Final = (PAYMENTS, REFUNDS, REQUESTS, EVENTS, RATES)


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment.

    amount: what is paid, in the currency of the payment. invoice: the id of the Invoice. party: who pays, `Patient/1`.
    processor: its name, or `cash`, `bank`, `credit`. processor_ref: its own id of the payment, once it is known.
    rate: of the exchange into the currency of the invoice, with source, time and id. due: when it is looked at next.
    """

    id: str
    state: State
    amount: Money
    invoice: str
    party: str
    patient: str
    processor: str
    at: int
    processor_ref: str = ""
    rate: Mapping[str, Any] = field(default_factory=dict)
    due: int = 0
    tries: int = 0
    receipt: str = ""
    shift: str = ""
    why: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0

    def but(self, **changes: Any) -> "Payment":
        """Return it with some things changed."""
        return replace(self, **changes)

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else did since it was read."""
        value = {
            "state": self.state, "amount": str(self.amount.amount), "currency": self.amount.currency,
            "invoice": self.invoice, "party": self.party, "patient": self.patient, "processor": self.processor,
            "at": self.at, "processor_ref": self.processor_ref, "rate": dict(self.rate), "due": self.due,
            "short": self.id[:12], "tries": self.tries, "receipt": self.receipt, "shift": self.shift,
            "why": self.why, "more": dict(self.more),
        }  # fmt: skip
        return RecordChange(PAYMENTS.name, self.id, value, expected=self.revision)


def payment_from(record: Record) -> Payment:
    """Return the payment of a record."""
    value: Any = dict(record.value)
    del value["short"]
    amount = Money(Decimal(value.pop("amount")), value.pop("currency"))
    return Payment(id=record.key, amount=amount, revision=record.revision, **value)


async def payment_of(store: PluginStore, id_: str) -> Payment | None:
    """Return one payment."""
    record = await store.get(PAYMENTS.name, id_)
    return None if record is None else payment_from(record)
