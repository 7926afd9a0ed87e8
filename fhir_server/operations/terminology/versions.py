"""`$versions`: the versions of FHIR that this server speaks.

Spec: https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html
"""

from fhir_server.context import Context
from fhir_server.operations.facts import r4
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs

_VERSION = "4.0"


async def _run(_ctx: Context, _call: Call) -> Outputs:
    """Answer R4, the one there is."""
    return Outputs([("version", _VERSION), ("default", _VERSION)])


versions = CoreOperation(
    facts=r4("CapabilityStatement-versions"),
    handler=_run,
    summary="The versions of FHIR that this server speaks.",
)
