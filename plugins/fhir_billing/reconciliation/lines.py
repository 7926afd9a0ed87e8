"""Lines of statements, whatever file they come in."""

from dataclasses import dataclass
from typing import Final, Literal

from fhir_billing.money import Money
from fhir_server.plugin_api import Collection, RecordField

Kind = Literal["payment", "refund", "chargeback", "fee"]

LINES: Final = Collection(
    "fhir_billing.lines", (RecordField("state"), RecordField("source"), RecordField("at", "integer"))
)
"""By source and id of the line: each is taken in once, whatever file it comes in again."""
RUNS: Final = Collection("fhir_billing.runs", (RecordField("source"), RecordField("at", "integer")))
COLLECTIONS: Final = (LINES, RUNS)


@dataclass(frozen=True, slots=True)
class Line:
    """One line. id: unique at its source. references: all that may name a payment of ours. amount: gross, above zero;
    fee: what is kept of it; settled: what came on our account, where that is another currency."""

    id: str
    kind: Kind
    references: tuple[str, ...]
    amount: Money
    fee: Money
    day: str
    text: str = ""
    settled: Money | None = None

    @property
    def net(self) -> Money:
        """What came on our account, in the currency of the payment."""
        return self.amount - self.fee
