"""`$translate`: what a code is called in another system.

Spec: https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.coded import Coded, codings_of
from fhir_server.operations.terminology.faults import one_of, unknown_map
from fhir_server.operations.terminology.maps import maps_of
from fhir_server.operations.terminology.parameters import RESOURCES, Json, answer, extended, group, value
from fhir_server.operations.terminology.service import answered, instance, service
from fhir_server.terminology import Terminology
from fhir_server.terminology.members import text
from fhir_server.terminology.translate import Asked, Code, Match, fits, is_to, translations

_R5 = {
    "sourceCode": "code",
    "sourceSystem": "uri",
    "sourceCoding": "Coding",
    "sourceCodeableConcept": "CodeableConcept",
    "targetCode": "code",
    "targetCoding": "Coding",
    "targetCodeableConcept": "CodeableConcept",
    "sourceScope": "uri",
    "targetScope": "uri",
    "targetSystem": "uri",
}
"""The names that R5 gave to inputs; who uses one gets the outputs that R5 has."""

_WAYS = (
    ("code", "coding", "codeableConcept"),
    ("sourceCode", "sourceCoding", "sourceCodeableConcept"),
    ("targetCode", "targetCoding", "targetCodeableConcept"),
)

_RELATIONSHIPS = {
    "equivalent": "equivalent",
    "equal": "equivalent",
    "wider": "source-is-narrower-than-target",
    "subsumes": "source-is-narrower-than-target",
    "narrower": "source-is-broader-than-target",
    "specializes": "source-is-broader-than-target",
    "unmatched": "not-related-to",
    "disjoint": "not-related-to",
}


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked: codes of which any may be translated, the one map or None for all that fit."""

    codes: Sequence[Coded]
    map: Json | str | None
    source: str
    target: str
    system: str
    reverse: bool
    dependencies: frozenset[tuple[str, Code]]

    def of(self, coded: Coded) -> Asked:
        """Return the question about one of the codes."""
        code = Code(coded.system, coded.code, coded.version)
        return Asked(code, self.source, self.target, self.system, self.dependencies, self.reverse)


async def _run(ctx: Context, call: Call) -> FhirResponse:
    """Answer with all matches, from the map that is named or from all that fit.

    Raises:
        BadRequest: no code is named, or several ways to name one.
        NotFound: there is no such map.
    """
    inputs = call.inputs
    held = await instance(ctx, call)
    request = _request(inputs, held)
    found = await answered(_found, service(ctx, call), request)
    return answer(_told(found, request, r5=not _R5.keys().isdisjoint(inputs.values)))


def _request(inputs: Inputs, held: Json | None) -> _Request:
    one = inputs.one
    to_target = any(name in inputs.values for name in ("targetCode", "targetCoding", "targetCodeableConcept"))
    inline = held if held is not None else one("conceptMap")
    url, version = one("url"), one("conceptMapVersion")
    named = f"{url}|{version}" if url and version and "|" not in url else url
    return _Request(
        codes=_codes(inputs),
        map=inline if inline is not None else named,
        source=one("source") or one("sourceScope") or "",
        target=one("target") or one("targetScope") or "",
        system=one("targetsystem") or one("targetSystem") or "",
        reverse=bool(one("reverse", False)) or to_target,
        dependencies=frozenset(_dependencies(inputs)),
    )


def _codes(inputs: Inputs) -> Sequence[Coded]:
    found: list[Sequence[Coded]] = []
    for names in _WAYS:
        code, coding, concept = (inputs.one(name) for name in names)
        if code is not None:
            found.append(
                [Coded(inputs.one("system") or inputs.one("sourceSystem") or "", code, inputs.one("version", ""))]
            )
        if coding is not None:
            found.append([Coded.of(coding)])
        if concept is not None:
            found.append(codings_of(concept))
    if len(found) != 1 or not all(coded.code for coded in found[0]):
        raise one_of("code (with system), coding and codeableConcept")
    return found[0]


def _dependencies(inputs: Inputs) -> Iterator[tuple[str, Code]]:
    for given in inputs.many("dependency"):
        for coded in codings_of(given.one("concept") or {}):
            yield given.one("element", ""), Code(coded.system, coded.code, coded.version)


def _found(terminology: Terminology, request: _Request) -> list[Match]:
    found: dict[tuple[str, Code | None, str], Match] = {}
    for asked in map(request.of, request.codes):
        for each in _maps(terminology, request, asked):
            for match in translations([each], asked, lambda url: _map(terminology, url)):
                if is_to(each, asked) or _is_in(terminology, request.target, match):
                    found.setdefault((match.equivalence, match.concept, match.map), match)
    return list(found.values())


def _maps(terminology: Terminology, request: _Request, asked: Asked) -> Sequence[Json]:
    if isinstance(request.map, str):
        entry = terminology.library.find("ConceptMap", request.map)
        if entry is None:
            raise unknown_map(request.map)
        return maps_of(terminology.library).named(entry.url, entry.version)
    if request.map is not None:
        return [request.map]
    return [each for each in maps_of(terminology.library).about(asked.code.system) if fits(each, asked)]


def _map(terminology: Terminology, url: str) -> Json | None:
    entry = terminology.library.find("ConceptMap", url) if url else None
    return entry.parse() if entry is not None else None


def _is_in(terminology: Terminology, target: str, match: Match) -> bool:
    """Tell whether a match is in the value set that was asked for, as far as that can be told."""
    if not target or match.concept is None:
        return True
    return terminology.check(target, match.concept.system or None, match.concept.code).result is not False


def _told(found: Sequence[Match], request: _Request, *, r5: bool) -> Iterator[Json]:
    result = any(match.translates for match in found)
    yield value("result", "boolean", result)
    if not result:
        codes = ", ".join(f"{coded.system}#{coded.code}" for coded in request.codes)[:500]
        why = "it has no translation" if found else "no map has it"
        yield value("message", "string", f"The code {codes or '(none)'} could not be translated: {why}")
    for match in found:
        yield group("match", *_parts(match, r5=r5))


def _parts(match: Match, *, r5: bool) -> Iterator[Json]:
    if r5:
        yield value("relationship", "code", _RELATIONSHIPS.get(match.equivalence, "related-to"))
    else:
        yield value("equivalence", "code", match.equivalence)
    if match.concept is not None:
        yield value("concept", "Coding", _coding(match.concept, match.display))
    for product in match.products:
        coding = {
            "system": text(product, "system"),
            "code": text(product, "value"),
            "display": text(product, "display"),
        }
        concept = value("concept", "Coding", _filled(coding))
        yield group("product", value("element", "uri", text(product, "property")), concept)
    if match.map:
        yield value("originMap", "canonical", match.map) if r5 else value("source", "uri", match.map)


def _coding(code: Code, display: str) -> dict[str, Any]:
    return _filled({"system": code.system, "version": code.version, "code": code.code, "display": display})


def _filled(members: dict[str, str]) -> dict[str, Any]:
    return {name: text_ for name, text_ in members.items() if text_}


translate = CoreOperation(
    facts=extended("ConceptMap-translate", _R5, RESOURCES),
    handler=_run,
    summary="What a code is called in another system, by one concept map or by all that fit; also backwards.",
    lenient=True,
)
