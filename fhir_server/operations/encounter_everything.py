"""Encounter `$everything`: all that belongs to an encounter.

Spec: https://hl7.org/fhir/R4/encounter-operation-everything.html
"""

from dataclasses import replace

from fhir_server.context import Context
from fhir_server.operations.everything import LINKS, everything
from fhir_server.operations.facts import r4
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs


async def _run(ctx: Context, call: Call) -> Outputs:
    return await everything(ctx, call, "Encounter")


encounter_everything = CoreOperation(
    # R4 has it on an instance alone; on the type it is the same for all encounters, as Patient/$everything is.
    facts=replace(r4("Encounter-everything"), type_level=True),
    handler=_run,
    summary="All that belongs to an encounter, and what that refers to, in pages without a cap.",
    links=LINKS,
)
