"""`$subsumes`: which of two codes is the more general one.

Spec: https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from fhir_server.context import Context
from fhir_server.errors import BadRequest
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.operations.terminology.coded import Coded, one_code
from fhir_server.operations.terminology.faults import unknown_code, unknown_system
from fhir_server.operations.terminology.parameters import RESOURCES, extended
from fhir_server.operations.terminology.quick import quickly
from fhir_server.operations.terminology.service import held_system, service
from fhir_server.terminology import Terminology


async def _run(ctx: Context, call: Call) -> Outputs:
    """Answer `equivalent`, `subsumes` (A is above B), `subsumed-by` or `not-subsumed`.

    Raises:
        BadRequest: a code is missing, or the codes are of two systems.
        NotFound: the system or a code is not known.
    """
    url = await held_system(ctx, call)
    a, b = [one_code(call.inputs, code=f"code{name}", coding=f"coding{name}", system=url) for name in "AB"]
    if a.system != b.system:
        raise BadRequest("the codes are of two systems; only codes of one can be compared", expression="Parameters")
    return Outputs([("outcome", await quickly(_outcome, service(ctx, call), a, b, about=f"$subsumes {a.system}"))])


def _outcome(terminology: Terminology, a: Coded, b: Coded) -> str:
    system = terminology.system(a.system, a.version or b.version)
    if system is None:
        raise unknown_system(a.system, a.version or b.version)
    for each in (a, b):
        if system.concept(each.code) is None:
            raise unknown_code(each.code, system.header.url, system.header.version)
    above, below = system.subsumes(a.code, b.code), system.subsumes(b.code, a.code)
    if above and below:
        return "equivalent"
    return "subsumes" if above else "subsumed-by" if below else "not-subsumed"


subsumes = CoreOperation(
    facts=extended("CodeSystem-subsumes", RESOURCES),
    handler=_run,
    summary="Which of two codes of a system is the more general one.",
    lenient=True,
)
