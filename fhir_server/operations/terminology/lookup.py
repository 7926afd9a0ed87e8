"""`$lookup`: all that is known of a code.

Spec: https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.model.exchange import FhirResponse
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.terminology.coded import Coded, one_code
from fhir_server.operations.terminology.faults import unknown_code, unknown_supplement, unknown_system
from fhir_server.operations.terminology.parameters import RESOURCES, Json, answer, extended, group, value
from fhir_server.operations.terminology.service import answered, service
from fhir_server.terminology import Terminology
from fhir_server.terminology.code_system import CodeSystem, Concept, Designation, Property

_ALWAYS = frozenset(("code", "system", "version", "name", "display"))
_BASIC = ("definition", "designation", "parent", "inactive")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which properties are wanted; empty: those that are known, but for what is below the code."""

    names: frozenset[str]
    languages: Sequence[str]

    def has(self, name: str) -> bool:
        if "*" in self.names:
            return True
        return name in self.names if self.names else name != "child"

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
    language = inputs.one("displayLanguage") or call.request.headers.get("accept-language", "")
    asked = _Asked(frozenset(inputs.many("property")), languages_of(language))
    supplements = inputs.many("useSupplement")
    return answer(await answered(_found, service(ctx, call), coded, asked, supplements))


def _found(terminology: Terminology, coded: Coded, asked: _Asked, supplements: Sequence[str]) -> list[Json]:
    system = terminology.system(coded.system, coded.version)
    if system is None:
        raise unknown_system(coded.system, coded.version)
    for canonical in supplements:
        if terminology.library.find("CodeSystem", canonical) is None:
            raise unknown_supplement(canonical)
    concept = system.concept(coded.code)
    if concept is None:
        raise unknown_code(coded.code, system.header.url, system.header.version)
    return list(_told(system, concept, asked))


def _told(system: CodeSystem, concept: Concept, asked: _Asked) -> Iterator[Json]:
    header = system.header
    yield value("name", "string", header.name or header.title or header.url)
    if header.version:
        yield value("version", "string", header.version)
    yield value("display", "string", preferred(system, concept, asked.languages))
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
        if asked.has(name):
            for code in related(concept.code):
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


def languages_of(header: str) -> list[str]:
    """Return the languages of a `displayLanguage` or an Accept-Language header, the best first.

    Spec: RFC 9110, section 12.5.4
    """
    ranked = []
    for place, item in enumerate(header[:500].split(",")):
        language, _, weight = item.strip().partition(";")
        quality = weight.replace(" ", "").removeprefix("q=")
        number = float(quality) if quality.replace(".", "", 1).isdecimal() else 1.0
        if language and number > 0:
            ranked.append((-number, place, language.strip()))
    return [language for _, _, language in sorted(ranked)]


def preferred(system: CodeSystem, concept: Concept, languages: Sequence[str]) -> str:
    """Return the display in the first of the languages that the concept has one of."""
    texts = [(each.language, each.value) for each in _designations(system, concept) if each.language]
    for language in languages:
        for exact in (True, False):
            for each, text in texts:
                if each == language or (not exact and each.partition("-")[0] == language.partition("-")[0]):
                    return text
    return concept.display or concept.code


lookup = CoreOperation(
    facts=extended("CodeSystem-lookup", {"useSupplement": "canonical"}, RESOURCES),
    handler=_run,
    summary="All that is known of a code: displays, designations, definition, parents, children and properties.",
    lenient=True,
)
