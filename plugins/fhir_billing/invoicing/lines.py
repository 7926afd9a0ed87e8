"""Lines: the charges of an episode, and how each is shared so that no smallest unit is lost or made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_billing.charging.price import Component
from fhir_billing.ledger.balances import each
from fhir_billing.ledger.records import DOCUMENTS
from fhir_billing.money import Money, MoneyFault, rounded, split, total
from fhir_server.plugin_api import PluginContext, Record, Where


@dataclass(frozen=True, slots=True)
class Line:
    """One charge: its ChargeItem, what it comes to, and the components of that."""

    item: str
    net: Money
    components: tuple[Component, ...]
    record: Record


@dataclass(frozen=True, slots=True)
class Share:
    """Who pays a part: kind is `invoice`, `claim` or `exemption`. One of amount, percent, or neither for the rest."""

    party: str
    kind: str
    amount: Money | None = None
    percent: Decimal | None = None
    coverage: str = ""
    code: str = ""


async def open_lines(
    ctx: PluginContext, patient: str, *, context: str = "", account: str = "", items: Sequence[str] = ()
) -> list[Line]:
    """Return the charges of a patient that are on no invoice yet."""
    found: list[Line] = []
    async for record in each(ctx.store, DOCUMENTS.name, [Where("kind", "=", "charge"), Where("patient", "=", patient)]):
        value: Any = record.value
        wanted = (not context or value["context"] == context) and (not account or value["account"] == account)
        if wanted and not value["invoice"] and not value.get("void") and (not items or record.key in items):
            found.append(_line(record, value))
    return found


def _line(record: Record, value: Mapping[str, Any]) -> Line:
    currency = value["currency"]
    parts = tuple(
        Component(type_, code, Money(Decimal(amount), currency)) for type_, code, amount in value["components"]
    )
    return Line(record.key, Money(Decimal(value["net"]), currency), parts, record)


def sum_of(lines: Sequence[Line]) -> Money:
    """Return what lines come to. Raises MoneyFault: they are of several currencies."""
    currencies = sorted({line.net.currency for line in lines})
    if len(currencies) != 1:
        said = f"the charges are in {', '.join(currencies)}: make one invoice for each currency"
        raise MoneyFault(said, expression="Invoice.totalNet.currency")
    return total((line.net for line in lines), currencies[0])


def amounts_of(whole: Money, shares: Sequence[Share]) -> list[Money]:
    """Return what each share comes to; fixed amounts first, then percents of the whole, then the rest.

    Raises:
        MoneyFault: the shares come to more than the whole, to less without one for the rest, or in another currency.
    """
    fixed = [_fixed(whole, share) for share in shares]
    rest = whole - total((each for each in fixed if each is not None), whole.currency)
    open_ = [index for index, each in enumerate(fixed) if each is None]
    if rest.amount < 0 or (rest and not open_):
        said = f"the shares come to {whole - rest}, the charges to {whole}"
        raise MoneyFault(said, expression="Parameters.parameter.where(name='share')")
    parts = split(rest, [1] * len(open_)) if open_ else ()
    for index, part in zip(open_, parts, strict=True):
        fixed[index] = part
    return [each for each in fixed if each is not None]


def _fixed(whole: Money, share: Share) -> Money | None:
    if share.amount is not None:
        return whole - (whole - share.amount)
    if share.percent is not None:
        return rounded(whole.amount * share.percent / 100, whole.currency)
    return None


def spread(lines: Sequence[Line], amounts: Sequence[Money]) -> list[list[Money]]:
    """Return the part of each line (inner) in each share (outer); both directions sum up exactly."""
    left = [line.net for line in lines]
    table: list[list[Money]] = []
    for amount in amounts:
        weights = [max(each.amount, Decimal(0)) for each in left]
        row = list(split(amount, weights)) if any(weights) else [amount - amount for _ in left]
        left = [was - part for was, part in zip(left, row, strict=True)]
        table.append(row)
    return table
