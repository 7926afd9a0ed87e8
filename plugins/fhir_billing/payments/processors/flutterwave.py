"""Flutterwave (v3): hosted payments; its webhook carries a secret that is always the same, so it proves little.

Source: https://developer.flutterwave.com/v3.0/docs/webhooks
"""

import hmac
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from fhir_billing.money import money_of
from fhir_billing.money.money import Money
from fhir_billing.payments.processor import Answer, NoAnswer, Order, Received, RefundAnswer, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import any_of, hold
from fhir_billing.payments.states import State
from fhir_billing.settings import ProcessorSettings

_STATES: Final[dict[str, State]] = {"successful": "succeeded", "failed": "failed"}


class Flutterwave:
    """One account at Flutterwave."""

    keyed_refunds = False

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings
        headers = {"authorization": f"Bearer {settings.key.get_secret_value()}"}
        self._wire = Wire(settings.url or "https://api.flutterwave.com", timeout, headers)

    async def start(self, order: Order) -> Answer:
        """Make the payment."""
        payment = order.payment
        body = {
            "tx_ref": payment.id, "amount": str(payment.amount.amount), "currency": payment.amount.currency,
            "redirect_url": order.back, "customer": {"email": order.email or "billing@invalid.example"},
        }  # fmt: skip
        data = (await self._wire.ask("POST", "/v3/payments", body=body)).get("data") or {}
        return Answer("pending", payment.id, redirect=str(data.get("link", "")))

    async def query(self, payment: Payment) -> Answer:
        """Verify by our reference: amount, currency and reference have to be what was asked for."""
        path = "/v3/transactions/verify_by_reference"
        data = (await self._wire.ask("GET", path, query={"tx_ref": payment.id})).get("data") or {}
        if data.get("tx_ref") != payment.id or not isinstance(data.get("amount"), Decimal | int):
            raise NoAnswer("another transaction")
        amount = money_of(data["amount"], data.get("currency"))
        more = {"transaction": data.get("id")}
        return Answer(_STATES.get(str(data.get("status")), "pending"), payment.id, amount, more=more)

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Give back."""
        path = f"/v3/transactions/{payment.more.get('transaction', '')}/refund"
        data = (await self._wire.ask("POST", path, body={"amount": str(amount.amount), "comments": key})).get(
            "data"
        ) or {}
        state: Any = {"completed": "paid", "failed": "failed"}.get(str(data.get("status")), "sent")
        return RefundAnswer(state, str(data.get("id", "")))

    def read(self, received: Received) -> Sequence[Told]:
        """Return the event."""
        given = received.headers.get("verif-hash", "").encode()
        hold(any_of(self._settings.webhook_secrets, lambda secret: hmac.compare_digest(secret.encode(), given)))
        event = parsed(received.body)
        data = event.get("data") or {}
        return [Told(f"{event.get('event')}|{data.get('id')}|{data.get('status')}", str(data.get("tx_ref", "")))]
