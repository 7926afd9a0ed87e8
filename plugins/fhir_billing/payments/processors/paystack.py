"""Paystack: hosted transactions, in the smallest unit of NGN, GHS, ZAR, KES and USD.

Source: https://paystack.com/docs/api/transaction, https://paystack.com/docs/payments/webhooks
"""

from collections.abc import Sequence
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, NoAnswer, Order, Received, RefundAnswer, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import signed
from fhir_billing.payments.states import State
from fhir_billing.settings import ProcessorSettings

_STATES: Final[dict[str, State]] = {"success": "succeeded", "failed": "failed", "reversed": "failed"}


class Paystack:
    """One account at Paystack."""

    keyed_refunds = False

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings
        headers = {"authorization": f"Bearer {settings.key.get_secret_value()}"}
        self._wire = Wire(settings.url or "https://api.paystack.co", timeout, headers)

    async def start(self, order: Order) -> Answer:
        """Make the transaction; its reference is our id, and unique at Paystack."""
        payment = order.payment
        body = {
            "email": order.email or "billing@invalid.example", "amount": str(payment.amount.minor),
            "currency": payment.amount.currency, "reference": payment.id, "callback_url": order.back,
        }  # fmt: skip
        data = (await self._wire.ask("POST", "/transaction/initialize", body=body)).get("data") or {}
        if data.get("reference") != payment.id:
            raise NoAnswer("another transaction")
        return Answer("pending", payment.id, redirect=str(data.get("authorization_url", "")))

    async def query(self, payment: Payment) -> Answer:
        """Verify the transaction."""
        data = (await self._wire.ask("GET", f"/transaction/verify/{payment.id}")).get("data") or {}
        if data.get("reference") != payment.id or not isinstance(data.get("amount"), int):
            raise NoAnswer("another transaction")
        amount = Money.of_minor(data["amount"], str(data.get("currency")))
        more = {"transaction": data.get("id")}
        return Answer(_STATES.get(str(data.get("status")), "pending"), payment.id, amount, more=more)

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Give back."""
        body = {"transaction": payment.id, "amount": amount.minor, "merchant_note": key}
        data = (await self._wire.ask("POST", "/refund", body=body)).get("data") or {}
        state: Any = {"processed": "paid", "failed": "failed"}.get(str(data.get("status")), "sent")
        return RefundAnswer(state, str(data.get("id", "")))

    def read(self, received: Received) -> Sequence[Told]:
        """Return the event; it has no id and no time of its own: what it says and about what stands for it."""
        secrets = self._settings.webhook_secrets or (self._settings.key,)
        signed(received, "x-paystack-signature", secrets, "sha512")
        event = parsed(received.body)
        data = event.get("data") or {}
        kind = "refund" if str(event.get("event", "")).startswith("refund.") else "payment"
        return [Told(f"{event.get('event')}|{data.get('id')}", str(data.get("reference", "")), "", kind)]
