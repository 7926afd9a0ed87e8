"""`$validate-code`: whether a code is in a value set, or in its code system, and its display the right one.

Spec: https://hl7.org/fhir/R4/valueset-operation-validate-code.html,
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from collections.abc import Callable

from fhir_server.context import Context
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.faults import one_of
from fhir_server.operations.terminology.parameters import RESOURCES, VERSIONS, Json, extended
from fhir_server.operations.terminology.quick import quickly
from fhir_server.operations.terminology.service import (
    accepted_languages,
    as_parameters,
    resource_answer,
    tenant_service,
)
from fhir_server.operations.terminology.value_sets import with_code_system, with_value_set
from fhir_server.terminology import Terminology
from fhir_server.terminology.requests import ValidateRequest
from fhir_server.terminology.validate import validate_code as validated

_MORE = {
    "inferSystem": "boolean",
    "lenient-display-validation": "boolean",
    "valueset-membership-only": "boolean",
    "activeOnly": "boolean",
    "useSupplement": "canonical",
}


async def _of_value_set(ctx: Context, call: Call) -> FhirResponse:
    """Answer whether a code is in a value set.

    Raises:
        BadRequest: no code, or several ways to name one, or no value set.
        NotFound: the value set is not known.
    """
    _must_be_one(call)
    given = as_parameters(await with_value_set(ctx, call))
    return resource_answer(await _judged(ctx, call, checked, given))


async def _of_system(ctx: Context, call: Call) -> FhirResponse:
    """Answer whether a code is in its system. Raises as for a value set."""
    _must_be_one(call)
    given = as_parameters(await with_code_system(ctx, call))
    return resource_answer(await _judged(ctx, call, checked_in_system, given))


async def _judged(ctx: Context, call: Call, check: Callable[[Terminology, Json, str], Json], given: Json) -> Json:
    own = not {"valueSet", "codeSystem", "tx-resource"}.isdisjoint(call.inputs.values)
    about = "" if own else f"{call.request.type}/{call.request.id} {call.inputs.one('url', '')}"
    return await quickly(check, tenant_service(ctx), given, accepted_languages(call), about=about)


def _must_be_one(call: Call) -> None:
    """Refuse several ways to name the code at once; that there is none is for the service to say."""
    if sum(name in call.inputs.values for name in ("code", "coding", "codeableConcept")) > 1:
        raise one_of("code, coding and codeableConcept")


def checked(terminology: Terminology, given: Json, languages: str) -> Json:
    """Return the answer to one call on value sets."""
    return validated(terminology, ValidateRequest.of(given, languages))


def checked_in_system(terminology: Terminology, given: Json, languages: str) -> Json:
    """Return the answer to one call on code systems."""
    return validated(terminology, ValidateRequest.of(given, languages, of_system=True))


validate_in_value_set = CoreOperation(
    facts=extended("ValueSet-validate-code", _MORE, VERSIONS, RESOURCES),
    handler=_of_value_set,
    summary="Whether a code is in a value set, with what is wrong of it and of its display.",
    lenient=True,
)
validate_in_code_system = CoreOperation(
    facts=extended("CodeSystem-validate-code", _MORE, VERSIONS, RESOURCES),
    handler=_of_system,
    summary="Whether a code is in its code system, with what is wrong of it and of its display.",
    lenient=True,
)
