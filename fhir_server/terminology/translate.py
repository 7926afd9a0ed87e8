"""Translating a code by concept maps, forwards and backwards.

Spec: https://hl7.org/fhir/R4/conceptmap-operation-translate.html, https://hl7.org/fhir/R4/conceptmap.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.terminology.members import part, parts, text

Json = Mapping[str, Any]

DEEPEST = 20
"""Maps that may send an unmapped code on to one another in a row."""

NOT_MAPPED = frozenset(("unmatched", "disjoint"))
"""Equivalences that are no translation."""

# What R4 says of the target, R5 says of the source: https://hl7.org/fhir/R5/conceptmap-relationship.html
_OF_R5 = {
    "related-to": "relatedto",
    "equivalent": "equivalent",
    "source-is-narrower-than-target": "wider",
    "source-is-broader-than-target": "narrower",
    "not-related-to": "disjoint",
}
_REVERSED = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}
_UNMAPPED = {"provided": "equivalent", "fixed": "relatedto"}


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a system; `version` may be empty."""

    system: str
    code: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One translation.

    Attributes:
        source: the value set that the code is of, empty where any.
        target: the value set that the answer has to be of, empty where any.
        system: the code system that the answer has to be of, empty where any.
        dependencies: what else is known: pairs of an element and a code.
        reverse: the code is a target of the maps; its sources are wanted.
    """

    code: Code
    source: str = ""
    target: str = ""
    system: str = ""
    dependencies: frozenset[tuple[str, Code]] = frozenset()
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """One translation found; `concept` is None where a map says that there is none. `map` is a canonical URL."""

    equivalence: str
    concept: Code | None
    display: str = ""
    products: Sequence[Json] = ()
    map: str = ""

    @property
    def translates(self) -> bool:
        """Tell whether it is a translation."""
        return self.concept is not None and self.equivalence not in NOT_MAPPED


Find = Callable[[str], Json | None]


def translations(maps: Iterable[Json], asked: Asked, find: Find) -> list[Match]:
    """Return what the maps say of a code, each once.

    Args:
        find: gives the map of a canonical URL, to which another may send an unmapped code on.
    """
    found = (match for each in maps for match in _by_map(each, asked, find, ()))
    return list({(m.equivalence, m.concept, m.map): m for m in found}.values())


def scopes(resource: Json) -> tuple[str, str]:
    """Return the value sets that a map is from and to, empty where it does not say."""
    source, target = ("source", "target")
    return _scope(resource, source), _scope(resource, target)


def _scope(resource: Json, name: str) -> str:
    names = (f"{name}Uri", f"{name}Canonical", f"{name}ScopeUri", f"{name}ScopeCanonical")
    return next((found for each in names if (found := text(resource, each))), "")


def fits(resource: Json, asked: Asked) -> bool:
    """Tell whether a map is from and to the value sets that are asked for; one that does not say fits."""
    source, target = scopes(resource)
    if asked.reverse:
        source, target = target, source
    return _same(source, asked.source) and _same(target, asked.target)


def is_to(resource: Json, asked: Asked) -> bool:
    """Tell whether a map says that it is to the value set that is asked for; then what it says needs no check."""
    declared = scopes(resource)[0 if asked.reverse else 1]
    return not asked.target or declared.partition("|")[0] == asked.target.partition("|")[0]


def _same(one: str, other: str) -> bool:
    return not one or not other or one.partition("|")[0] == other.partition("|")[0]


def canonical(resource: Json) -> str:
    """Return `url|version` of a map."""
    url, version = text(resource, "url"), text(resource, "version")
    return f"{url}|{version}" if url and version else url


def _by_map(resource: Json, asked: Asked, find: Find, within: tuple[str, ...]) -> Iterator[Match]:
    by = _backwards if asked.reverse else _forwards
    name = canonical(resource)
    for group in parts(resource, "group"):
        if _is_for(group, asked):
            yield from (replace(match, map=match.map or name) for match in by(group, asked, find, (*within, name)))


def _is_for(group: Json, asked: Asked) -> bool:
    here, there = ("target", "source") if asked.reverse else ("source", "target")
    versions = asked.code.version, text(group, f"{here}Version")
    if "" not in versions and versions[0] != versions[1]:
        return False
    return _same(text(group, here), asked.code.system) and _same(text(group, there), asked.system)


def _forwards(group: Json, asked: Asked, find: Find, within: tuple[str, ...]) -> Iterator[Match]:
    elements = [each for each in parts(group, "element") if text(each, "code") == asked.code.code]
    for element in elements:
        for target in parts(element, "target"):
            if _holds(target, asked.dependencies):
                yield _match(group, target)
    if not elements:
        yield from _unmapped(group, asked, find, within)


def _match(group: Json, target: Json) -> Match:
    code = text(target, "code")
    concept = Code(text(group, "target"), code, text(group, "targetVersion")) if code else None
    return Match(_equivalence(target), concept, text(target, "display"), parts(target, "product"))


def _equivalence(target: Json) -> str:
    own = text(target, "equivalence")
    return own or _OF_R5.get(text(target, "relationship"), "relatedto")


def _holds(target: Json, known: frozenset[tuple[str, Code]]) -> bool:
    """Tell whether all that a target depends on is known to be so."""
    return all(_is_known(each, known) for each in parts(target, "dependsOn"))


def _is_known(dependency: Json, known: frozenset[tuple[str, Code]]) -> bool:
    element, value = text(dependency, "property"), text(dependency, "value")
    system = text(dependency, "system")
    return any(
        element == name and value == code.code and (not system or not code.system or system == code.system)
        for name, code in known
    )


def _unmapped(group: Json, asked: Asked, find: Find, within: tuple[str, ...]) -> Iterator[Match]:
    """Do what the group says is to be done with a code that it does not have.

    Spec: https://hl7.org/fhir/R4/conceptmap.html#unmapped
    """
    rule = part(group, "unmapped")
    mode = {"use-source-code": "provided"}.get(text(rule, "mode"), text(rule, "mode"))
    if mode == "other-map":
        other = find(text(rule, "url") or text(rule, "otherMap"))
        if other is not None and canonical(other) not in within and len(within) < DEEPEST:
            yield from _by_map(other, asked, find, within)
    elif mode in _UNMAPPED:
        code = asked.code.code if mode == "provided" else text(rule, "code")
        equivalence = _OF_R5.get(text(rule, "relationship"), _UNMAPPED[mode])
        concept = Code(text(group, "target"), code, text(group, "targetVersion"))
        yield Match(equivalence, concept, text(rule, "display"))


def _backwards(group: Json, asked: Asked, _find: Find, _within: tuple[str, ...]) -> Iterator[Match]:
    system, version = text(group, "source"), text(group, "sourceVersion")
    for element in parts(group, "element"):
        for target in parts(element, "target"):
            if text(target, "code") == asked.code.code and _holds(target, asked.dependencies):
                equivalence = _equivalence(target)
                concept = Code(system, text(element, "code"), version)
                yield Match(_REVERSED.get(equivalence, equivalence), concept, text(element, "display"))
