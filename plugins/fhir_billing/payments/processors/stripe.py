"""Stripe: payment intents, whose card fields are hosted by it.

Source: https://docs.stripe.com/api/payment_intents, https://docs.stripe.com/webhooks#verify-manually
"""

from collections.abc import Sequence
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, NoAnswer, Order, Received, RefundAnswer, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import any_of, hold, in_window
from fhir_billing.payments.states import State
from fhir_billing.settings import ProcessorSettings

_STATES: Final[dict[str, State]] = {"succeeded": "succeeded", "canceled": "cancelled"}


class Stripe:
    """One account at Stripe."""

    keyed_refunds = True

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings
        auth = (settings.key.get_secret_value(), "")
        self._wire = Wire(settings.url or "https://api.stripe.com", timeout, auth=auth)

    async def start(self, order: Order) -> Answer:
        """Make the payment intent; its client secret is for the hosted fields."""
        return self._answer(await self._made(order.payment))

    async def _made(self, payment: Payment) -> dict[str, Any]:
        form = {
            "amount": str(payment.amount.minor), "currency": payment.amount.currency.lower(),
            "metadata[payment]": payment.id,
        }  # fmt: skip
        return await self._wire.ask("POST", "/v1/payment_intents", form=form, headers={"idempotency-key": payment.id})

    async def query(self, payment: Payment) -> Answer:
        """Ask for the intent; where its id never came, making it again under the same key gives the same one."""
        if not payment.processor_ref:
            return self._answer(await self._made(payment))
        return self._answer(await self._wire.ask("GET", f"/v1/payment_intents/{payment.processor_ref}"))

    def _answer(self, found: dict[str, Any]) -> Answer:
        status = str(found.get("status", ""))
        paid = found.get("amount_received") or found.get("amount")
        if not isinstance(paid, int) or not found.get("id"):
            raise NoAnswer("no payment intent")
        amount = Money.of_minor(paid, str(found.get("currency", "")).upper())
        return Answer(
            _STATES.get(status, "pending"), str(found["id"]), amount, token=str(found.get("client_secret", ""))
        )

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Give back."""
        form = {"payment_intent": payment.processor_ref, "amount": str(amount.minor)}
        found = await self._wire.ask("POST", "/v1/refunds", form=form, headers={"idempotency-key": key})
        states = {"succeeded": "paid", "failed": "failed", "canceled": "failed"}
        return RefundAnswer(states.get(str(found.get("status")), "sent"), str(found.get("id", "")))  # type: ignore[arg-type]

    def read(self, received: Received) -> Sequence[Told]:
        """Return the event."""
        from stripe import SignatureVerificationError, WebhookSignature

        header = received.headers.get("stripe-signature", "")

        def fits(secret: str) -> bool:
            try:
                return bool(WebhookSignature.verify_header(received.body.decode(), header, secret, None))
            except (SignatureVerificationError, ValueError):
                return False

        hold(any_of(self._settings.webhook_secrets, fits))
        stamp = next(part[2:] for part in header.split(",") if part.startswith("t="))
        in_window(received, int(stamp))
        event = parsed(received.body)
        about = event.get("data", {}).get("object", {})
        kind = "dispute" if about.get("object") == "dispute" else "payment"
        ref = about.get("payment_intent") if kind == "dispute" or about.get("object") == "charge" else about.get("id")
        return [Told(str(event.get("id")), str((about.get("metadata") or {}).get("payment", "")), str(ref or ""), kind)]
