"""`$expand`: the codes of a value set.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from fhir_server.context import Context
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.cross_version import as_r4
from fhir_server.operations.terminology.parameters import RESOURCES, VERSIONS, Json, extended
from fhir_server.operations.terminology.service import (
    accepted_languages,
    as_parameters,
    expanded,
    resource_answer,
    tenant_service,
)
from fhir_server.operations.terminology.value_sets import with_value_set
from fhir_server.terminology import Terminology
from fhir_server.terminology.expand import expand as expansion_of
from fhir_server.terminology.requests import ExpandRequest


async def _run(ctx: Context, call: Call) -> FhirResponse:
    """Answer with the value set and its expansion, or one page of it.

    Raises:
        BadRequest: no value set is named, or parameters that have no meaning.
        NotFound: the value set, or something that it needs, is not known.
        TooCostly: it has too many codes, or would take too much work.
    """
    given = as_parameters(await with_value_set(ctx, call))
    return resource_answer(await expanded(ctx, _expand, tenant_service(ctx), given, accepted_languages(call)))


def _expand(terminology: Terminology, given: Json, languages: str) -> Json:
    return as_r4(expansion_of(terminology, ExpandRequest.of(given, languages)))


expand = CoreOperation(
    facts=extended("ValueSet-expand", {"property": "string", "useSupplement": "canonical"}, VERSIONS, RESOURCES),
    handler=_run,
    summary="The codes of a value set: filtered, in pages, with designations and properties, as a list or a tree.",
    lenient=True,
)
