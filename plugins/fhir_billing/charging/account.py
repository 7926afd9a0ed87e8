"""The Account of a patient: opened with the first charge, in its commit; its balance is the ledger's.

Spec: https://hl7.org/fhir/R4/account.html
"""

from fhir_billing.ledger import owned, owner_change
from fhir_billing.naming import coded, date_of, id_of, reference
from fhir_server.plugin_api import PluginContext, Put, RecordChange

_TYPE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def account_of(patient: str) -> str:
    """Return the name of a patient's Account."""
    return f"Account/{id_of('account', patient)}"


async def opening(ctx: PluginContext, patient: str) -> tuple[list[Put], list[RecordChange]]:
    """Return what opens a patient's Account; nothing where it is open."""
    name = account_of(patient)
    if await owned(ctx.store, name) is not None:
        return [], []
    resource = {
        "resourceType": "Account", "id": name.partition("/")[2], "status": "active",
        "type": coded(_TYPE, "PBILLACCT"), "name": "Billing", "subject": [reference(patient)],
        "servicePeriod": {"start": date_of(ctx.now())},
    }  # fmt: skip
    if ctx.settings.provider:
        resource["owner"] = reference(ctx.settings.provider)
    return [Put(resource, 0)], [owner_change(name, "account", patient=patient)]
