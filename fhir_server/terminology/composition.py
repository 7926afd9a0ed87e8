"""What a ValueSet says it is made of, read once: includes, excludes, or the expansion that it came with.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.terminology.code_system import Filter, Json
from fhir_server.terminology.members import extension, part, parts, text, texts
from fhir_server.terminology.outcomes import Finding, error
from fhir_server.terminology.versions import version_order

_SUPPLEMENT = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"
_PARAMETER = "http://hl7.org/fhir/StructureDefinition/valueset-expansion-parameter"


@dataclass(frozen=True, slots=True)
class Part:
    """One include or exclude: what all that it names have in common.

    `concepts` are as the resource has them, by code; None where it lists none.
    """

    system: str
    version: str
    concepts: Mapping[str, Json] | None
    filters: Sequence[Filter]
    value_sets: Sequence[str]
    source: Json

    @property
    def canonical(self) -> str:
        """Return the system with the version that is asked for."""
        return f"{self.system}|{self.version}" if self.version else self.system


@dataclass(frozen=True, slots=True)
class Composition:
    """A value set.

    Attributes:
        listed: the codes of the expansion that it came with, by (system, code); None where that is absent or a part.
        inactive: inactive codes are in it too.
        includes: where versions do not count, those of later versions come first, so that these are shown.
        versions_match: False says that an exclude of one version of a system leaves the codes of others.
        parameters: what it says of its own expansion (`displayLanguage` ...).
        broken: what makes it impossible to evaluate.
    """

    url: str
    version: str
    includes: Sequence[Part]
    excludes: Sequence[Part]
    listed: Mapping[tuple[str, str], Json] | None
    inactive: bool
    resource: Json
    parameters: Mapping[str, str]
    broken: Finding | None

    @property
    def parts(self) -> Sequence[Part]:
        """Return includes and excludes."""
        return (*self.includes, *self.excludes)

    @property
    def simple(self) -> bool:
        """Tell whether it is one system, or filters of one."""
        if len(self.includes) != 1 or self.excludes or not self.inactive:
            return False
        part_ = self.includes[0]
        return bool(part_.system) and not part_.value_sets and part_.concepts is None

    @property
    def name(self) -> str:
        """Return its canonical URL with the version, or `#id` of one that has none."""
        return (f"{self.url}|{self.version}" if self.version else self.url) or f"#{text(self.resource, 'id')}"

    @property
    def versions_match(self) -> bool | None:
        """Return what it says of versions; None where it says nothing."""
        said = self.parameters.get("versionsMatch")
        return None if said is None else said == "true"

    @property
    def supplements(self) -> Sequence[str]:
        """Return the supplements that it needs."""
        found = (
            each.get("valueCanonical") for each in parts(self.resource, "extension") if each.get("url") == _SUPPLEMENT
        )
        return [each for each in found if isinstance(each, str)]


def read_composition(resource: Json) -> Composition:
    """Read a ValueSet."""
    compose = part(resource, "compose")
    parameters = dict(_parameters(compose))
    includes = tuple(map(_part, parts(compose, "include")))
    if parameters.get("versionsMatch") == "true":
        includes = tuple(sorted(includes, key=lambda each: version_order(each.version), reverse=True))
    return Composition(
        text(resource, "url"),
        text(resource, "version"),
        includes,
        tuple(map(_part, parts(compose, "exclude"))),
        _listed(part(resource, "expansion")),
        compose.get("inactive") is not False,
        resource,
        parameters,
        next(_broken(compose), None),
    )


def _broken(compose: Json) -> Iterator[Finding]:
    for name in ("include", "exclude"):
        for place, item in enumerate(parts(compose, name)):
            for number, filter_ in enumerate(parts(item, "filter")):
                if not text(filter_, "value"):
                    yield _without_value(item, filter_, f"ValueSet.compose.{name}[{place}].filter[{number}]")


def _without_value(item: Json, filter_: Json, at: str) -> Finding:
    message = (
        f"The system {text(item, 'system')} filter with property = {text(filter_, 'property')},"
        f" op = {text(filter_, 'op')} has no value"
    )
    return error("invalid", "vs-invalid", "UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE", message, at)


def _parameters(compose: Json) -> Iterator[tuple[str, str]]:
    for item in parts(compose, "extension"):
        if item.get("url") == _PARAMETER:
            value = extension(item, "value")
            yield str(extension(item, "name") or ""), str(value).lower() if isinstance(value, bool) else str(value)


def _part(item: Json) -> Part:
    concepts: dict[str, Json] | None = None
    if "concept" in item:
        concepts = {}
        for concept in parts(item, "concept"):
            concepts.setdefault(text(concept, "code"), concept)
    filters = tuple(
        Filter(text(each, "property"), text(each, "op"), text(each, "value")) for each in parts(item, "filter")
    )
    return Part(text(item, "system"), text(item, "version"), concepts, filters, texts(item, "valueSet"), item)


def _listed(expansion: Json) -> Mapping[tuple[str, str], Json] | None:
    if not expansion:
        return None
    codes = {
        (text(item, "system"), text(item, "code")): item
        for item in _contained(expansion)
        if text(item, "code") and item.get("abstract") is not True
    }
    total = expansion.get("total")
    return None if isinstance(total, int) and total > len(codes) else codes


def _contained(expansion: Json) -> Iterator[Json]:
    waiting = parts(expansion, "contains")[::-1]
    while waiting:
        item = waiting.pop()
        yield item
        waiting += parts(item, "contains")[::-1]
