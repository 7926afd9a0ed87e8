"""`$find-matches`: the codes that have given properties.

Spec: https://hl7.org/fhir/R4/codesystem-operation-find-matches.html
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.faults import unknown_system
from fhir_server.operations.terminology.parameters import RESOURCES, Json, answer, extended, group, value
from fhir_server.operations.terminology.service import answered, held_system, service
from fhir_server.terminology import Terminology
from fhir_server.terminology.code_system import CodeSystem, Filter, Property

_MOST = 1_000


class _Wanted(NamedTuple):
    """A property as a filter, and as it came."""

    filter: Filter
    parts: Sequence[Json]


async def _run(ctx: Context, call: Call) -> FhirResponse:
    """Answer with the codes that have all the properties (`exact`), or else as many of them as any code has.

    Raises:
        BadRequest: no system or no property is named, or a property has parts of its own.
        NotFound: the system is not known.
        TooCostly: the codes of the system cannot be listed.
    """
    url, _, version = (await held_system(ctx, call)).partition("|")
    url, version = url or call.inputs.one("system", ""), version or call.inputs.one("version", "")
    if not url:
        raise BadRequest("$find-matches needs a system", expression="system")
    wanted = [_wanted(given) for given in call.inputs.many("property")]
    if not wanted:
        raise BadRequest("$find-matches needs a property", expression="property")
    exact = call.inputs.one("exact")
    return answer(await answered(_matches, service(ctx, call), (url, version), wanted, exact))


def _wanted(given: Inputs) -> _Wanted:
    if "subproperty" in given.values:
        raise BadValue("properties with parts of their own cannot be looked for", expression="property.subproperty")
    held = given.one("value")
    if held is None:
        raise BadRequest(f"the property {given.one('code')[:100]!r} has no value", expression="property.value")
    return _Wanted(Filter(given.one("code"), "=", Property("", "", held).text), given.parts)


def _matches(terminology: Terminology, asked: tuple[str, str], wanted: Sequence[_Wanted], exact: bool) -> list[Json]:
    system = terminology.system(*asked)
    if system is None:
        raise unknown_system(*asked)
    filters = [each.filter for each in wanted]
    codes = system.select(filters) if exact else _best(system, filters)
    return [_match(system, code, () if exact else wanted) for code in islice(codes, _MOST)]


def _best(system: CodeSystem, filters: Sequence[Filter]) -> Iterator[str]:
    """Yield the codes that the most filters hold for."""
    counts = Counter(code for filter_ in filters for code in system.select((filter_,)))
    most = max(counts.values(), default=0)
    return (code for code, count in counts.items() if count == most)


def _match(system: CodeSystem, code: str, wanted: Sequence[_Wanted]) -> Json:
    concept = system.concept(code)
    coding = {"system": system.header.url, "version": system.header.version, "code": code}
    coding["display"] = concept.display if concept else ""
    unmatched = [group("unmatched", *each.parts) for each in wanted if not system.matches(code, each.filter)]
    return group("match", value("code", "Coding", {k: v for k, v in coding.items() if v}), *unmatched)


find_matches = CoreOperation(
    facts=extended("CodeSystem-find-matches", RESOURCES),
    handler=_run,
    summary="The codes of a system that have given properties, all or as many as can be.",
    lenient=True,
)
