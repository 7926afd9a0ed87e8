"""`$lookup`: all that is known of a code.

Spec: https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.coded import Coded, one_code
from fhir_server.operations.terminology.faults import unknown_code, unknown_system
from fhir_server.operations.terminology.parameters import RESOURCES, Json, answer, extended, group, value
from fhir_server.operations.terminology.quick import quickly
from fhir_server.operations.terminology.service import accepted_languages, service
from fhir_server.terminology import Terminology
from fhir_server.terminology.code_system import CodeSystem, Concept, Designation, Property
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.requests import languages_of
from fhir_server.terminology.scope import Scope

_MOST_CHILDREN = 200
"""Codes below that are told although nobody asks for them."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which properties are wanted; empty: all that are known, but no long list of what is below the code."""

    names: frozenset[str]
    languages: Languages | None

    def has(self, name: str) -> bool:
        if "*" in self.names:
            return True
        return name in self.names if self.names else True

    def has_language(self, language: str) -> bool:
        return self.has("designation") or f"lang.{language}" in self.names


async def _run(ctx: Context, call: Call) -> FhirResponse:
    """Answer with name, display, designations and properties.

    Raises:
        BadRequest: no code is named, or two.
        NotFound: the code, its system or a supplement is not known.
    """
    inputs = call.inputs
    coded = one_code(inputs)
    language = inputs.one("displayLanguage") or accepted_languages(call)
    asked = _Asked(frozenset(inputs.many("property")), languages_of(language))
    supplements = inputs.many("useSupplement")
    return answer(await quickly(_found, service(ctx, call), coded, asked, supplements, about=f"$lookup {coded.system}"))


def _found(terminology: Terminology, coded: Coded, asked: _Asked, supplements: Sequence[str]) -> list[Json]:
    scope = Scope(terminology.sources, supplements=supplements)
    scope.take_supplements()
    system = scope.system(coded.system, coded.version)
    if system is None:
        raise unknown_system(coded.system, coded.version)
    concept = system.concept(coded.code)
    if concept is None:
        raise unknown_code(coded.code, system.header.url, system.header.version)
    return list(_told(system, concept, asked))


def _told(system: CodeSystem, concept: Concept, asked: _Asked) -> Iterator[Json]:
    header = system.header
    yield value("name", "string", header.name or header.title or header.url)
    if header.version:
        yield value("version", "string", header.version)
    yield value("display", "string", _display(system, concept, asked.languages))
    yield value("system", "uri", header.url)
    yield value("code", "code", concept.code)
    if concept.definition and asked.has("definition"):
        yield value("definition", "string", concept.definition)
    yield value("abstract", "boolean", concept.abstract)
    for designation in _designations(system, concept):
        if asked.has_language(designation.language):
            yield _designation(designation)
    yield from _properties(system, concept, asked)


def _designations(system: CodeSystem, concept: Concept) -> Iterator[Designation]:
    """Yield the display in the language of the system first."""
    if concept.display and system.header.language:
        yield Designation(concept.display, system.header.language)
    yield from concept.designations


def _designation(designation: Designation) -> Json:
    parts = []
    if designation.language:
        parts.append(value("language", "code", designation.language))
    if designation.use is not None:
        parts.append(value("use", "Coding", designation.use))
    return group("designation", *parts, value("value", "string", designation.value))


def _properties(system: CodeSystem, concept: Concept, asked: _Asked) -> Iterator[Json]:
    own = {each.code for each in concept.properties}
    if asked.has("inactive") and "inactive" not in own:
        yield _property(system, Property("inactive", "valueBoolean", concept.inactive))
    for name, related in (("parent", system.parents), ("child", system.children)):
        codes = related(concept.code) if asked.has(name) else ()
        for code in codes if asked.names or len(codes) <= _MOST_CHILDREN else ():
            yield _related(system, name, code)
    for each in concept.properties:
        if asked.has(each.code) and each.code not in ("parent", "child"):
            yield _property(system, each)


def _related(system: CodeSystem, name: str, code: str) -> Json:
    found = system.concept(code)
    told = [value("description", "string", found.display)] if found is not None and found.display else []
    return group("property", value("code", "code", name), value("value", "code", code), *told)


def _property(system: CodeSystem, held: Property) -> Json:
    parts = [value("code", "code", held.code), {"name": "value", held.kind: held.value}]
    named = system.concept(held.text) if held.kind == "valueCode" else None
    if named is not None and named.display:
        parts.append(value("description", "string", named.display))
    return group("property", *parts)


def _display(system: CodeSystem, concept: Concept, languages: Languages | None) -> str:
    """Return the display in the language that is wanted most of those that there are."""
    ranked = [
        (rank, each.value)
        for each in _designations(system, concept)
        if languages and (rank := languages.rank(each.language)) is not None
    ]
    return min(ranked, key=lambda pair: pair[0], default=(0, concept.display or concept.code))[1]


lookup = CoreOperation(
    facts=extended("CodeSystem-lookup", {"useSupplement": "canonical"}, RESOURCES),
    handler=_run,
    summary="All that is known of a code: displays, designations, definition, parents, children and properties.",
    lenient=True,
)
