"""`$batch-validate-code`: many calls of `$validate-code` in one.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from collections.abc import Callable, Sequence

from fhir_server.context import Context
from fhir_server.errors import BadRequest, FhirError
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.faults import told_as_text
from fhir_server.operations.terminology.parameters import Json
from fhir_server.operations.terminology.service import (
    accepted_languages,
    answered,
    as_parameters,
    resource_answer,
    service,
)
from fhir_server.operations.terminology.validate_code import checked, checked_in_system
from fhir_server.terminology import Terminology
from fhir_server.terminology.members import parts, text

_MOST = 10_000
_OWN = frozenset(("validation", "tx-resource"))

Check = Callable[[Terminology, Json, str], Json]


async def _run(ctx: Context, call: Call) -> FhirResponse:
    """Answer each validation in order; one that cannot be answered is answered with its OperationOutcome.

    Raises:
        BadRequest: too many at once.
    """
    calls = call.inputs.many("validation")
    if len(calls) > _MOST:
        raise BadRequest(f"{len(calls)} validations came; {_MOST} may", expression="validation")
    shared = [each for each in call.inputs.parts if text(each, "name") not in _OWN]
    check = checked_in_system if call.request.type == "CodeSystem" else checked
    given = [_merged(each, shared) for each in calls]
    return resource_answer(await answered(_all, service(ctx, call), check, given, accepted_languages(call)))


def _merged(given: Json, shared: Sequence[Json]) -> Json:
    """Return the parameters of one validation with those that all share, where it does not say them itself."""
    mine = parts(given, "parameter")
    names = {text(each, "name") for each in mine}
    return as_parameters([*mine, *(each for each in shared if text(each, "name") not in names)])


def _all(terminology: Terminology, check: Check, calls: Sequence[Json], languages: str) -> Json:
    return as_parameters(
        [{"name": "validation", "resource": _one(terminology, check, given, languages)} for given in calls]
    )


def _one(terminology: Terminology, check: Check, given: Json, languages: str) -> Json:
    try:
        with told_as_text():
            return check(terminology, given, languages)
    except FhirError as error:
        return {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in error.issues]}


batch_validate_code = CoreOperation(
    facts=own("terminology/batch-validate-code"),
    handler=_run,
    summary="Many validations of codes in one call.",
    lenient=True,
)
