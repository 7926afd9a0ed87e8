"""Routing: which processors can take a payment, in the order in which they are tried."""

from collections.abc import Sequence

from fhir_billing.payments.processor import Processor
from fhir_billing.payments.processors import KINDS
from fhir_billing.settings import BillingSettings, ProcessorSettings
from fhir_server.plugin_api import BadValue, Host


def processor_of(host: Host, name: str) -> Processor:
    """Return a processor of this process. Raises BadValue: there is none of that name."""
    made: dict[str, Processor] = host.shared.setdefault("processors", {})
    if name not in made:
        settings: BillingSettings = host.settings
        if name not in settings.processors:
            raise BadValue(
                f"there is no processor {name[:50]!r}", expression="Parameters.parameter.where(name='method')"
            )
        mine = settings.processors[name]
        made[name] = KINDS[mine.kind](mine, settings.processor_timeout)
    return made[name]


def candidates(settings: BillingSettings, method: str, currency: str, country: str, tenant: str) -> Sequence[str]:
    """Return the names of the processors for a payment.

    method: a name or a kind, or `auto`. Those that name the country come before those that take all, then the order
    of the settings holds.

    Raises:
        BadValue: none takes it.
    """
    fits = [
        (not (country and country in each.countries), name)
        for name, each in settings.processors.items()
        if method in ("auto", name, each.kind) and _takes(each, currency, country, tenant)
    ]
    if not fits:
        where = f" in {country}" if country else ""
        said = f"no processor takes {currency}{where} by {method[:50]!r}"
        raise BadValue(said, expression="Parameters.parameter.where(name='method')")
    return [name for _, name in sorted(fits, key=lambda pair: pair[0])]


def _takes(each: ProcessorSettings, currency: str, country: str, tenant: str) -> bool:
    return (
        (not each.currencies or currency in each.currencies)
        and (not each.countries or not country or country in each.countries)
        and serves(each, tenant)
    )


def serves(each: ProcessorSettings, tenant: str) -> bool:
    """Tell whether a processor takes a tenant's money."""
    return not each.tenants or tenant in each.tenants
