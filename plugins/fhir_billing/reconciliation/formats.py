"""Files of statements: CSV as each source has it, told by a table of its columns; and 835 of payers."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from fhir_billing.money import Money, MoneyFault, exponent_of, zero
from fhir_billing.reconciliation.lines import Kind, Line
from fhir_server.plugin_api import BadValue


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what. minor: amounts are in the smallest unit. kinds: what the words of `kind` mean; a line of
    another word is left out. currency: where no column says it."""

    id: str
    references: tuple[str, ...]
    amount: str
    day: str
    fee: str = ""
    currency_column: str = ""
    currency: str = ""
    kind: str = ""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    text: str = ""
    minor: bool = False
    settled: str = ""
    settled_currency: str = ""
    out: str = ""


FORMATS: Final[Mapping[str, Columns]] = {
    "plain": Columns(
        "id", ("reference",), "amount", "date", "fee", "currency", kind="kind", text="text", settled="settled",
        settled_currency="settled_currency",
        kinds={"payment": "payment", "refund": "refund", "chargeback": "chargeback", "fee": "fee", "": "payment"},
    ),
    "stripe": Columns(
        "id", ("metadata.payment", "payment (metadata)", "Source"), "Amount", "Created (UTC)", "Fee", "Currency",
        kind="Type", text="Description",
        kinds={"charge": "payment", "payment": "payment", "refund": "refund", "adjustment": "chargeback",
               "stripe_fee": "fee"},
    ),
    "paystack": Columns(
        "Transaction ID", ("Reference",), "Amount", "Transaction Date", "Fees", "Currency", text="Customer",
    ),
    "flutterwave": Columns("id", ("tx_ref",), "amount", "created_at", "app_fee", "currency", text="narration"),
    "mpesa": Columns(
        "Receipt No.", ("A/C No.", "Other Party Info", "Receipt No."), "Paid In", "Completion Time", currency="KES",
        kind="Transaction Status", kinds={"Completed": "payment"}, text="Details", out="Withdrawn",
    ),
    "bank": Columns("id", ("reference", "text"), "amount", "date", "", "currency", text="text"),
}  # fmt: skip


def read(name: str, data: bytes) -> Iterator[Line]:
    """Yield the lines of a file.

    Raises:
        BadValue: there is no such format, the file is not text, or a column is missing.
        MoneyFault: a line has no amount of its currency; it is named by its number.
    """
    columns = FORMATS.get(name)
    if columns is None:
        raise BadValue(f"format is one of {', '.join(sorted(FORMATS))} or 835", expression="http.format")
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        missing = {columns.id, columns.amount, columns.day} - set(rows.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadValue("the file is no CSV in UTF-8", expression="http.file") from error
    if missing:
        raise BadValue(f"the file has no column {', '.join(sorted(missing))}", expression="http.file")
    for number, row in enumerate(rows, 2):
        line = _line(columns, row, number)
        if line is not None:
            yield line


def _line(columns: Columns, row: Mapping[str, str], number: int) -> Line | None:
    kind = columns.kinds.get((row.get(columns.kind) or "").strip()) if columns.kind else "payment"
    currency = (row.get(columns.currency_column) or columns.currency).strip().upper()
    amount = _money(columns, row.get(columns.amount) or "0", currency, number)
    if kind is None or (not amount and columns.out):
        return None
    if amount.amount < 0:
        amount, kind = -amount, "refund" if kind == "payment" else kind
    fee = _money(columns, row.get(columns.fee) or "0", currency, number) if columns.fee else zero(currency)
    found = tuple(value.strip() for name in columns.references if (value := row.get(name) or "").strip())
    settled = None
    if columns.settled and row.get(columns.settled):
        settled = _money(columns, row[columns.settled], row[columns.settled_currency].strip().upper(), number)
    id_ = (row.get(columns.id) or "").strip()
    if not id_:
        raise BadValue(f"line {number} has no id", expression="http.file")
    return Line(id_, kind, found, amount, fee, (row.get(columns.day) or "")[:10], row.get(columns.text) or "", settled)


def _money(columns: Columns, text: str, currency: str, number: int) -> Money:
    try:
        amount = Decimal(text.replace(",", "").strip() or "0")
    except InvalidOperation:
        raise MoneyFault(f"line {number} has no amount", expression="http.file") from None
    if not amount.is_finite() or abs(amount) > Decimal(10) ** 15:
        raise MoneyFault(f"line {number} has no amount", expression="http.file")
    exponent = exponent_of(currency)
    if columns.minor:
        amount = amount.scaleb(-exponent)
    exact = amount.quantize(Decimal(1).scaleb(-exponent))
    if exact != amount:
        raise MoneyFault(f"line {number} has more decimals than {currency}", expression="http.file")
    return Money(exact, currency)
