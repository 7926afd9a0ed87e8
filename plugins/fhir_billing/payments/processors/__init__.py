"""The processors: each speaks one maker's interface."""

from collections.abc import Callable, Mapping
from typing import Final

from fhir_billing.payments.processor import Processor
from fhir_billing.payments.processors.adyen import Adyen
from fhir_billing.payments.processors.flutterwave import Flutterwave
from fhir_billing.payments.processors.mpesa import Mpesa
from fhir_billing.payments.processors.paynow import PayNow
from fhir_billing.payments.processors.paystack import Paystack
from fhir_billing.payments.processors.razorpay import Razorpay
from fhir_billing.payments.processors.square import Square
from fhir_billing.payments.processors.stripe import Stripe
from fhir_billing.settings import ProcessorSettings

KINDS: Final[Mapping[str, Callable[[ProcessorSettings, float], Processor]]] = {
    "adyen": Adyen,
    "flutterwave": Flutterwave,
    "mpesa": Mpesa,
    "paynow": PayNow,
    "paystack": Paystack,
    "razorpay": Razorpay,
    "square": Square,
    "stripe": Stripe,
}
