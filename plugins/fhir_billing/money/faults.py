"""MoneyFault: an amount that cannot be booked as it is."""

from fhir_server.plugin_api import FhirError


class MoneyFault(FhirError):
    """An amount with too many decimals, of no known currency, or of another one than what it is for."""

    status = 422
    code = "value"
