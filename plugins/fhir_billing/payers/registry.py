"""Registry: the payers that the settings name."""

from collections.abc import Callable

import httpx

from fhir_billing.payers.fhir import FhirPayer
from fhir_billing.payers.nhia import NhiaPayer
from fhir_billing.payers.pas import PasPayer
from fhir_billing.payers.payer import Payer
from fhir_billing.payers.settings import Kind, PayerSettings
from fhir_billing.payers.sha import ShaPayer
from fhir_billing.payers.x12_payer import X12Payer
from fhir_billing.settings import BillingSettings

Maker = Callable[[str, PayerSettings, float, httpx.AsyncBaseTransport | None], Payer]
MAKERS: dict[Kind, Maker] = {
    "fhir": FhirPayer,
    "pas": PasPayer,
    "sha": ShaPayer,
    "nhia": NhiaPayer,
    "x12": X12Payer,
}


def payers_of(settings: BillingSettings, transport: httpx.AsyncBaseTransport | None = None) -> dict[str, Payer]:
    """Return the payers by name. transport: for tests."""
    return {
        name: MAKERS[each.kind](name, each, settings.payer_timeout, transport) for name, each in settings.payers.items()
    }
