"""835: what a payer paid and why not all; each claim and the whole have to sum up.

Names: https://x12.org/products/transaction-sets (835, guide 005010X221A1)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from fhir_billing.money import Money
from fhir_billing.x12.envelope import BadEnvelope, Transaction, parse
from fhir_billing.x12.segments import COMPONENT, Segment, component, composite, element, first, loops
from fhir_billing.x12.shapes import check
from fhir_billing.x12.values import BadElement, amount, day, written

GUIDE: Final = "005010X221A1"
REVERSAL: Final = "22"
_ZERO: Final = Decimal(0)


class BadRemittance(Exception):
    """An 835 that does not sum up, or that cannot be read: it is not posted."""


@dataclass(frozen=True, slots=True)
class Adjusted:
    """One adjustment: group (CO, PR, OA, PI), reason code, amount."""

    group: str
    reason: str
    amount: Money


@dataclass(frozen=True, slots=True)
class PaidLine:
    """One service. control: our number of the line (REF 6R), where the payer gives it back."""

    code: str
    modifiers: tuple[str, ...]
    charged: Money
    paid: Money
    adjustments: tuple[Adjusted, ...] = ()
    allowed: Money | None = None
    serviced: date | None = None
    control: str = ""
    quantity: str = "1"


@dataclass(frozen=True, slots=True)
class Paid:
    """One claim. claim: the number that we gave it (CLP01); payer_control: the payer's (CLP07); status: CLP02."""

    claim: str
    status: str
    charged: Money
    paid: Money
    patient: Money
    payer_control: str = ""
    adjustments: tuple[Adjusted, ...] = ()
    lines: tuple[PaidLine, ...] = ()

    @property
    def is_reversal(self) -> bool:
        """Whether it takes back an earlier payment."""
        return self.status == REVERSAL

    @property
    def all_adjustments(self) -> tuple[Adjusted, ...]:
        """Those of the claim and of its lines."""
        return (*self.adjustments, *(each for line in self.lines for each in line.adjustments))


@dataclass(frozen=True, slots=True)
class Remittance:
    """One payment with the claims it is for. trace: number of the payment (TRN02).

    withheld: what the payer took off or added beyond claims (PLB): reason, reference, amount (above zero: taken off).
    """

    payer: str
    payer_id: str
    payee: str
    payee_id: str
    trace: str
    paid_on: date | None
    total: Money
    claims: tuple[Paid, ...]
    withheld: tuple[tuple[str, str, Money], ...] = ()
    method: str = "ACH"


def parse_835(raw: bytes, currency: str = "USD") -> list[Remittance]:
    """Return the remittances of a file.

    Raises:
        BadRemittance: an envelope, an element or a sum is wrong; nothing of the file is to be posted.
    """
    try:
        transactions = [each for one in parse(raw) for each in one.transactions]
        faults = [fault.text for one in parse(raw) for fault in one.faults]
    except BadEnvelope as error:
        raise BadRemittance(str(error)) from None
    if faults:
        raise BadRemittance("; ".join(faults))
    return [remittance(each, currency) for each in transactions if each.kind == "835"]


def remittance(transaction: Transaction, currency: str = "USD") -> Remittance:
    """Return what one 835 says. Raises BadRemittance."""
    if faults := check(transaction):
        raise BadRemittance("; ".join(fault.text for fault in faults))
    try:
        return _balanced(_read(transaction.segments, currency))
    except BadElement as error:
        raise BadRemittance(str(error)) from None


def _read(segments: Sequence[Segment], currency: str) -> Remittance:
    money = _Reader(currency)
    bpr, trn = first(segments, "BPR"), first(segments, "TRN")
    payer, payee = first(segments, "N1", "PR"), first(segments, "N1", "PE")
    sign = -1 if element(bpr, 3) == "D" else 1
    head = [each for each in segments if each[0] != "PLB"]
    return Remittance(
        payer=element(payer, 2),
        payer_id=element(payer, 4) or element(trn, 3),
        payee=element(payee, 2),
        payee_id=element(payee, 4),
        trace=element(trn, 2),
        paid_on=day(element(bpr, 16)),
        total=Money(amount(element(bpr, 2)) * sign, currency),
        claims=tuple(money.claim(loop) for loop in loops(head, "CLP")),
        withheld=tuple(each for one in segments if one[0] == "PLB" for each in money.withheld(one)),
        method=element(bpr, 4),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads loops of one currency."""

    currency: str

    def money(self, text: str) -> Money:
        return Money(amount(text), self.currency)

    def claim(self, loop: Sequence[Segment]) -> Paid:
        clp = loop[0]
        services = list(loops(loop, "SVC"))
        own = loop[: len(loop) - sum(map(len, services))]
        return Paid(
            claim=element(clp, 1),
            status=element(clp, 2),
            charged=self.money(element(clp, 3)),
            paid=self.money(element(clp, 4)),
            patient=self.money(element(clp, 5)),
            payer_control=element(clp, 7),
            adjustments=tuple(self.adjusted(own)),
            lines=tuple(self.line(each) for each in services),
        )

    def line(self, loop: Sequence[Segment]) -> PaidLine:
        svc = loop[0]
        code = element(svc, 1)
        allowed = element(first(loop, "AMT", "B6"), 2)
        return PaidLine(
            code=component(code, 2),
            modifiers=tuple(each for each in code.split(COMPONENT)[2:6] if each),
            charged=self.money(element(svc, 2)),
            paid=self.money(element(svc, 3)),
            adjustments=tuple(self.adjusted(loop)),
            allowed=self.money(allowed) if allowed else None,
            serviced=day(element(first(loop, "DTM", "472"), 2)),
            control=element(first(loop, "REF", "6R"), 2),
            quantity=element(svc, 5) or "1",
        )

    def adjusted(self, segments: Sequence[Segment]) -> Iterator[Adjusted]:
        for each in segments:
            if each[0] == "CAS":
                for number in range(2, len(each), 3):
                    if element(each, number):
                        yield Adjusted(element(each, 1), element(each, number), self.money(element(each, number + 1)))

    def withheld(self, plb: Segment) -> Iterator[tuple[str, str, Money]]:
        for number in range(3, len(plb), 2):
            reason = element(plb, number)
            if reason:
                yield component(reason, 1), component(reason, 2), self.money(element(plb, number + 1))


def _balanced(found: Remittance) -> Remittance:
    """Return it. Raises BadRemittance: something does not sum up."""
    for claim in found.claims:
        _hold(f"claim {claim.claim}", claim.charged, claim.paid, claim.all_adjustments)
        if claim.lines:
            for number, line in enumerate(claim.lines, 1):
                _hold(f"claim {claim.claim}, service {number}", line.charged, line.paid, line.adjustments)
            charged = sum((line.charged.amount for line in claim.lines), _ZERO)
            if charged != claim.charged.amount:
                raise BadRemittance(f"claim {claim.claim}: services are {charged}, the claim {claim.charged.amount}")
    paid = sum((each.paid.amount for each in found.claims), _ZERO)
    withheld = sum((each[2].amount for each in found.withheld), _ZERO)
    if paid - withheld != found.total.amount:
        raise BadRemittance(f"claims are {paid}, withheld is {withheld}, but the payment {found.total.amount}")
    return found


def _hold(what: str, charged: Money, paid: Money, adjustments: Sequence[Adjusted]) -> None:
    adjusted = sum((each.amount.amount for each in adjustments), _ZERO)
    if charged.amount - adjusted != paid.amount:
        raise BadRemittance(f"{what}: {charged.amount} less adjustments of {adjusted} is not {paid.amount}")


def build_835(given: Remittance, control: str = "0001") -> Transaction:
    """Return the 835 of a remittance."""
    return Transaction("835", control, GUIDE, tuple(_segments(given)))


def _segments(given: Remittance) -> Iterator[Segment]:
    sign = "D" if given.total.amount < 0 else "C"
    on = f"{given.paid_on:%Y%m%d}" if given.paid_on else ""
    yield ("BPR", "I", written(abs(given.total.amount)), sign, given.method, *[""] * 11, on)
    yield ("TRN", "1", given.trace, given.payer_id)
    yield ("N1", "PR", given.payer, "XV", given.payer_id)
    yield ("N1", "PE", given.payee, "XX", given.payee_id)
    yield ("LX", "1")
    for claim in given.claims:
        yield from _claim(claim)
    for reason, reference, money in given.withheld:
        until = f"{given.paid_on:%Y}1231" if given.paid_on else ""
        yield ("PLB", given.payee_id, until, composite(reason, reference), written(money.amount))


def _claim(claim: Paid) -> Iterator[Segment]:
    yield (
        "CLP", claim.claim, claim.status, written(claim.charged.amount), written(claim.paid.amount),
        written(claim.patient.amount) if claim.patient else "", "MC", claim.payer_control,
    )  # fmt: skip
    yield from _cas(claim.adjustments)
    for line in claim.lines:
        code = composite("HC", line.code, *line.modifiers)
        yield ("SVC", code, written(line.charged.amount), written(line.paid.amount), "", line.quantity)
        if line.serviced:
            yield ("DTM", "472", f"{line.serviced:%Y%m%d}")
        yield from _cas(line.adjustments)
        if line.control:
            yield ("REF", "6R", line.control)
        if line.allowed is not None:
            yield ("AMT", "B6", written(line.allowed.amount))


def _cas(adjustments: Sequence[Adjusted]) -> Iterator[Segment]:
    """Yield a CAS for each group, at most six reasons in one."""
    groups: dict[str, list[str]] = {}
    for each in adjustments:
        groups.setdefault(each.group, []).extend((each.reason, written(each.amount.amount), ""))
    for group, parts in groups.items():
        for start in range(0, len(parts), 18):
            yield ("CAS", group, *parts[start : start + 18])
