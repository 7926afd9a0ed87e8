"""Razorpay: payment links.

Source: https://razorpay.com/docs/api/payments/payment-links, https://razorpay.com/docs/webhooks/validate-test
"""

from collections.abc import Sequence
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, NoAnswer, Order, Received, RefundAnswer, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import in_window, signed
from fhir_billing.payments.states import State
from fhir_billing.settings import ProcessorSettings

_STATES: Final[dict[str, State]] = {"paid": "succeeded", "cancelled": "cancelled", "expired": "expired"}


class Razorpay:
    """One account at Razorpay."""

    keyed_refunds = True

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings
        auth = (settings.key.get_secret_value(), settings.secret.get_secret_value())
        self._wire = Wire(settings.url or "https://api.razorpay.com", timeout, auth=auth)

    async def start(self, order: Order) -> Answer:
        """Make the payment link; its reference_id is unique at Razorpay."""
        body = {
            "amount": order.payment.amount.minor, "currency": order.payment.amount.currency,
            "reference_id": order.payment.id, "description": order.text, "notes": {"payment": order.payment.id},
        }  # fmt: skip
        return self._answer(await self._wire.ask("POST", "/v1/payment_links", body=body))

    async def query(self, payment: Payment) -> Answer:
        """Ask for the link, by its id or by our reference."""
        if payment.processor_ref:
            return self._answer(await self._wire.ask("GET", f"/v1/payment_links/{payment.processor_ref}"))
        found = await self._wire.ask("GET", "/v1/payment_links", query={"reference_id": payment.id})
        links = found.get("payment_links") or []
        return self._answer(links[0]) if links else Answer(None, why="not known")

    def _answer(self, found: dict[str, Any]) -> Answer:
        state = _STATES.get(str(found.get("status")), "pending")
        minor = found.get("amount_paid") if state == "succeeded" else found.get("amount")
        if not found.get("id") or not isinstance(minor, int):
            raise NoAnswer("no payment link")
        payments: Any = found.get("payments") or []
        more = {"payment": payments[0].get("payment_id", "")} if payments else None
        amount = Money.of_minor(minor, str(found.get("currency")))
        return Answer(state, str(found["id"]), amount, redirect=str(found.get("short_url", "")), more=more)

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Give back."""
        path = f"/v1/payments/{payment.more.get('payment', '')}/refund"
        body = {"amount": amount.minor, "receipt": key}
        found = await self._wire.ask("POST", path, body=body, headers={"x-refund-idempotency": key})
        state: Any = {"processed": "paid", "failed": "failed"}.get(str(found.get("status")), "sent")
        return RefundAnswer(state, str(found.get("id", "")))

    def read(self, received: Received) -> Sequence[Told]:
        """Return the event."""
        signed(received, "x-razorpay-signature", self._settings.webhook_secrets, "sha256")
        event = parsed(received.body)
        if isinstance(event.get("created_at"), int):
            in_window(received, event["created_at"])
        link = event.get("payload", {}).get("payment_link", {}).get("entity", {})
        id_ = received.headers.get("x-razorpay-event-id") or f"{event.get('event')}|{link.get('id')}"
        return [Told(id_, str(link.get("reference_id", "")), str(link.get("id", "")))]
