"""What a ValueSet says it is made of, read once: includes, excludes, or the expansion that it came with.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.terminology.code_system import Filter, Json
from fhir_server.terminology.members import part, parts, text, texts


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
    """

    url: str
    version: str
    includes: Sequence[Part]
    excludes: Sequence[Part]
    listed: Mapping[tuple[str, str], Json] | None
    inactive: bool
    resource: Json


def read_composition(resource: Json) -> Composition:
    """Read a ValueSet."""
    compose = part(resource, "compose")
    return Composition(
        text(resource, "url"),
        text(resource, "version"),
        tuple(map(_part, parts(compose, "include"))),
        tuple(map(_part, parts(compose, "exclude"))),
        _listed(part(resource, "expansion")),
        compose.get("inactive") is not False,
        resource,
    )


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
