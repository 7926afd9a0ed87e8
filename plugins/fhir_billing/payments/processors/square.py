"""Square: payment links; the URL of a webhook is part of what is signed.

Source: https://developer.squareup.com/reference/square/checkout-api, https://developer.squareup.com/docs/webhooks/step3validate
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, NoAnswer, Order, Received, RefundAnswer, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import any_of, hold, in_window
from fhir_billing.payments.states import State
from fhir_billing.settings import ProcessorSettings

_STATES: Final[dict[str, State]] = {"COMPLETED": "succeeded", "CANCELED": "cancelled"}


class Square:
    """One location at Square."""

    keyed_refunds = True

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings
        headers = {"authorization": f"Bearer {settings.key.get_secret_value()}"}
        self._wire = Wire(settings.url or "https://connect.squareup.com", timeout, headers)

    async def start(self, order: Order) -> Answer:
        """Make the payment link."""
        found = await self._made(order.payment)
        link = found.get("payment_link") or {}
        if not link.get("order_id"):
            raise NoAnswer("no payment link")
        return Answer("pending", str(link["order_id"]), redirect=str(link.get("url", "")))

    async def _made(self, payment: Payment) -> dict[str, Any]:
        money = {"amount": payment.amount.minor, "currency": payment.amount.currency}
        line = {"name": "Invoice", "quantity": "1", "base_price_money": money}
        order = {"location_id": self._settings.account, "reference_id": payment.id[:40], "line_items": [line]}
        body = {"idempotency_key": payment.id[:45], "order": order}
        return await self._wire.ask("POST", "/v2/online-checkout/payment-links", body=body)

    async def query(self, payment: Payment) -> Answer:
        """Ask for the order."""
        ref = payment.processor_ref
        if not ref:
            ref = str((await self._made(payment)).get("payment_link", {}).get("order_id", ""))
        order = (await self._wire.ask("GET", f"/v2/orders/{ref}")).get("order") or {}
        money = order.get("total_money") or {}
        if not isinstance(money.get("amount"), int):
            raise NoAnswer("no order")
        state = _STATES.get(str(order.get("state")), "pending")
        tenders = order.get("tenders") or []
        more = {"payment": tenders[0].get("payment_id", "")} if tenders else None
        return Answer(state, ref, Money.of_minor(money["amount"], str(money.get("currency"))), more=more)

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Give back."""
        body = {
            "idempotency_key": key[:45], "payment_id": payment.more.get("payment", ""),
            "amount_money": {"amount": amount.minor, "currency": amount.currency},
        }  # fmt: skip
        found = (await self._wire.ask("POST", "/v2/refunds", body=body)).get("refund") or {}
        state: Any = {"COMPLETED": "paid", "REJECTED": "failed", "FAILED": "failed"}.get(
            str(found.get("status")), "sent"
        )
        return RefundAnswer(state, str(found.get("id", "")))

    def read(self, received: Received) -> Sequence[Told]:
        """Return the event."""
        from square.utils.webhooks_helper import verify_signature

        given = received.headers.get("x-square-hmacsha256-signature", "")

        def fits(secret: str) -> bool:
            body = received.body.decode(errors="replace")
            return verify_signature(
                request_body=body, signature_header=given, signature_key=secret, notification_url=received.url
            )

        hold(bool(received.body) and any_of(self._settings.webhook_secrets, fits))
        event = parsed(received.body)
        if event.get("created_at"):
            in_window(received, datetime.fromisoformat(str(event["created_at"])).timestamp())
        about = event.get("data", {}).get("object", {}).get("payment", {})
        return [Told(str(event.get("event_id")), "", str(about.get("order_id", "")))]
