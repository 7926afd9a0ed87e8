"""Adyen: payment links; its notifications come in batches, each item signed.

Source: https://docs.adyen.com/unified-commerce/pay-by-link, https://docs.adyen.com/development-resources/webhooks
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, Forged, NoAnswer, Order, Received, RefundAnswer, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import any_of, hold
from fhir_billing.payments.states import State
from fhir_billing.settings import ProcessorSettings

_STATES: Final[dict[str, State]] = {"completed": "succeeded", "paid": "succeeded", "expired": "expired"}


class Adyen:
    """One merchant account at Adyen."""

    keyed_refunds = True

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings = settings
        url = settings.url or "https://checkout-live.adyen.com"
        self._wire = Wire(url, timeout, {"x-api-key": settings.key.get_secret_value()})

    async def start(self, order: Order) -> Answer:
        """Make the payment link."""
        return self._answer(await self._made(order.payment, order.back))

    async def _made(self, payment: Payment, back: str = "") -> dict[str, Any]:
        body = {
            "reference": payment.id, "merchantAccount": self._settings.account, "reusable": False,
            "amount": {"value": payment.amount.minor, "currency": payment.amount.currency},
        }  # fmt: skip
        if back:
            body["returnUrl"] = back
        return await self._wire.ask("POST", "/v71/paymentLinks", body=body, headers={"idempotency-key": payment.id})

    async def query(self, payment: Payment) -> Answer:
        """Ask for the link."""
        if not payment.processor_ref:
            return self._answer(await self._made(payment))
        return self._answer(await self._wire.ask("GET", f"/v71/paymentLinks/{payment.processor_ref}"))

    def _answer(self, found: dict[str, Any]) -> Answer:
        amount = found.get("amount") or {}
        if not found.get("id") or not isinstance(amount.get("value"), int):
            raise NoAnswer("no payment link")
        state = _STATES.get(str(found.get("status")), "pending")
        money = Money.of_minor(amount["value"], str(amount.get("currency")))
        return Answer(state, str(found["id"]), money, redirect=str(found.get("url", "")))

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Ask for a refund; its outcome comes by notification."""
        body = {
            "merchantAccount": self._settings.account, "reference": key,
            "amount": {"value": amount.minor, "currency": amount.currency},
        }  # fmt: skip
        ref = payment.more.get("psp", payment.processor_ref)
        found = await self._wire.ask(
            "POST", f"/v71/payments/{ref}/refunds", body=body, headers={"idempotency-key": key}
        )
        return RefundAnswer("sent", str(found.get("pspReference", "")))

    def read(self, received: Received) -> Sequence[Told]:
        """Return the events of a batch; one item that is not signed makes all of it forged."""
        from Adyen.util import is_valid_hmac_notification

        told = []
        for each in parsed(received.body).get("notificationItems", ()):
            item = each.get("NotificationRequestItem", {})
            hold(any_of(self._settings.webhook_secrets, partial(_fits, is_valid_hmac_notification, item)))
            kind = "payment"
            if item.get("eventCode") == "REFUND":
                kind = "refund-paid" if str(item.get("success")) == "true" else "refund-failed"
            id_ = f"{item.get('eventCode')}|{item.get('pspReference')}|{item.get('success')}"
            told.append(Told(id_, str(item.get("merchantReference", "")), "", kind))
        if not told:
            raise Forged("no notification", expression="http.body")
        return told


def _fits(check: Any, item: dict[str, Any], secret: str) -> bool:
    try:
        return bool(check({**item, "additionalData": dict(item.get("additionalData", {}))}, secret))
    except (ValueError, KeyError, TypeError):
        return False
