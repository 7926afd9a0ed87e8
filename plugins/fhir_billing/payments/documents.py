"""PaymentReconciliation and PaymentNotice of a payment that is in the books.

Spec: https://hl7.org/fhir/R4/paymentreconciliation.html, https://hl7.org/fhir/R4/paymentnotice.html
"""

from collections.abc import Sequence
from typing import Any

from fhir_billing.money import Money
from fhir_billing.naming import (
    PAYMENT_ID,
    PAYMENT_STATUSES,
    PAYMENT_TYPES,
    RECEIPT_NUMBER,
    coded,
    date_of,
    id_of,
    reference,
)
from fhir_billing.payments.rates import rate_from
from fhir_billing.payments.records import Payment
from fhir_server.plugin_api import PluginContext, instant


def reconciliation_id(payment: Payment) -> str:
    """Return the id of the PaymentReconciliation of a payment."""
    return id_of("reconciliation", payment.id)


def notice_id(payment: Payment) -> str:
    """Return the id of the PaymentNotice of a payment."""
    return id_of("notice", payment.id)


def reconciliation(ctx: PluginContext, payment: Payment, applied: Money, credited: Money) -> dict[str, Any]:
    """Return the PaymentReconciliation: what was paid, and what of it went where."""
    details = []
    if applied:
        details.append(_detail("payment", applied, ctx, f"Invoice/{payment.invoice}"))
    if credited:
        details.append(_detail("advance", credited, ctx, ""))
    identifiers = [{"system": PAYMENT_ID, "value": payment.id}]
    if payment.receipt:
        identifiers.append({"system": RECEIPT_NUMBER, "value": payment.receipt})
    found = {
        "resourceType": "PaymentReconciliation", "id": reconciliation_id(payment), "status": "active",
        "identifier": identifiers, "created": instant(ctx.now()), "outcome": "complete",
        "disposition": f"paid by {payment.processor}", "paymentDate": date_of(ctx.now()),
        "paymentAmount": payment.amount.as_fhir(),
    }  # fmt: skip
    if payment.processor_ref:
        found["paymentIdentifier"] = {"system": f"{PAYMENT_ID}/{payment.processor}", "value": payment.processor_ref}
    if details:
        found["detail"] = details
    return found | _exchanged(payment)


def _detail(kind: str, amount: Money, ctx: PluginContext, request: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": coded(PAYMENT_TYPES, kind), "date": date_of(ctx.now()), "amount": amount.as_fhir()}
    return found | ({"request": reference(request)} if request else {})


def notice(ctx: PluginContext, payment: Payment, recipient: str) -> dict[str, Any]:
    """Return the PaymentNotice: that an invoice was paid, in part or in whole."""
    return {
        "resourceType": "PaymentNotice", "id": notice_id(payment), "status": "active",
        "identifier": [{"system": PAYMENT_ID, "value": payment.id}], "request": reference(f"Invoice/{payment.invoice}"),
        "created": instant(ctx.now()), "payment": reference(f"PaymentReconciliation/{reconciliation_id(payment)}"),
        "paymentDate": date_of(ctx.now()), "amount": payment.amount.as_fhir(),
        "recipient": reference(recipient) if recipient else {"display": "this provider"},
        "paymentStatus": coded(PAYMENT_STATUSES, "paid"),
    } | _exchanged(payment)  # fmt: skip


def _exchanged(payment: Payment) -> dict[str, Any]:
    """Return the rate of exchange that a payment was booked at, as an extension of its documents."""
    extensions: Sequence[Any] = [rate_from(payment.rate).extension()] if payment.rate else []
    return {"extension": list(extensions)} if extensions else {}
