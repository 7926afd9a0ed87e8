"""Patient `$everything`: the record of a patient, or of all.

Spec: https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from fhir_server.context import Context
from fhir_server.operations.everything import LINKS, everything
from fhir_server.operations.facts import r4
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs


async def _run(ctx: Context, call: Call) -> Outputs:
    return await everything(ctx, call, "Patient")


patient_everything = CoreOperation(
    facts=r4("Patient-everything"),
    handler=_run,
    summary="All that belongs to a patient, and what that refers to, in pages without a cap.",
    links=LINKS,
)
