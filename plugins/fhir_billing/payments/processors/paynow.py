"""PayNow (Singapore): a code to scan, made here; the bank's statement tells that it was paid.

Source: EMV QRCPS merchant-presented mode; SGQR. A code that is shown is no payment: only a credit at the bank is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, Forged, Order, Received, RefundAnswer, Refused, Told
from fhir_billing.payments.records import Payment
from fhir_billing.settings import ProcessorSettings

_LIFE: Final = timedelta(days=7)
_SINGAPORE: Final = timedelta(hours=8)


class PayNow:
    """One proxy at PayNow; account: a UEN (`201403121W`) or a mobile number (`+65...`)."""

    keyed_refunds = False

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings

    async def start(self, order: Order) -> Answer:
        """Return the code."""
        payment = order.payment
        if payment.amount.currency != "SGD":
            raise Refused("PayNow takes SGD")
        until = datetime.fromtimestamp(payment.at / 1000, UTC) + _SINGAPORE + _LIFE
        code = qr(self._settings.account, payment.amount, payment.id[:25], until.strftime("%Y%m%d"))
        return Answer("pending", payment.id[:25], qr=code)

    async def query(self, payment: Payment) -> Answer:
        """Say nothing: the bank's statement tells."""
        return Answer(None, why="the bank's statement will tell")

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Refuse: it is paid by bank."""
        raise Refused("PayNow payments are given back by bank")

    def read(self, received: Received) -> Sequence[Told]:
        """Refuse: PayNow calls nobody."""
        raise Forged("PayNow sends no webhooks", expression="http.url")


def qr(proxy: str, amount: Money, bill: str, until: str, name: str = "NA") -> str:
    """Return the text of a code whose amount cannot be changed. bill: up to 25 signs; until: YYYYMMDD."""
    mobile = proxy.startswith("+")
    account = "".join((
        _field("00", "SG.PAYNOW"), _field("01", "0" if mobile else "2"), _field("02", proxy), _field("03", "0"),
        _field("04", until),
    ))  # fmt: skip
    text = "".join((
        _field("00", "01"), _field("01", "12"), _field("26", account), _field("52", "0000"), _field("53", "702"),
        _field("54", str(amount.amount)), _field("58", "SG"), _field("59", name[:25]), _field("60", "Singapore"),
        _field("62", _field("01", bill[:25])), "6304",
    ))  # fmt: skip
    return f"{text}{crc(text.encode()):04X}"


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"


def crc(data: bytes) -> int:
    """Return CRC-16/CCITT-FALSE."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = ((value << 1) ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value
