"""What one caller does not see of a resource, taken out of its JSON, and the searches that would tell of it.

Spec: https://hl7.org/fhir/R4/security-labels.html, https://hl7.org/fhir/R4/extension-data-absent-reason.html
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from fhir_server.auth.masks import Rule, compiled
from fhir_server.definitions import Definitions
from fhir_server.fhirpath import FhirPathError
from fhir_server.model.json import decode, encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.search.parameters import ParameterRegistry

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
LABELS: Final = ("SUBSETTED", "MASKED")
ABSENT: Final = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
}
_Steps = tuple[str | int, ...]
Json = dict[str, Any]


class Mask:
    """What is hidden from one caller.

    Args:
        registry: the search parameters in force.
    """

    def __init__(self, rules: Sequence[Rule], facts: Definitions, registry: ParameterRegistry) -> None:
        by_type: dict[str, tuple[Rule, ...]] = {}
        for rule in rules:
            by_type[rule.type] = (*by_type.get(rule.type, ()), rule)
        self.rules: Mapping[str, tuple[Rule, ...]] = by_type
        self._marks = [b'"%b"' % type_.encode() for type_ in by_type]
        self._facts, self._registry = facts, registry

    @cached_property
    def unasked(self) -> Mapping[str, frozenset[str]]:
        """The parameters that must not be searched by, by type; `*` stands for an include of all references."""
        return {type_: _touching(type_, rules, self._registry) for type_, rules in self.rules.items()}

    def body(self, key: ResourceKey, body: Body) -> Body:
        """Return a stored body as the caller sees it: itself where nothing is hidden."""
        if key.type not in self.rules and not any(mark in body.data for mark in self._marks):
            return body
        resource = decode(body.data, max_depth=1_000_000)
        return make_body(encode(resource), key) if self.apply(resource) else body

    def answer(self, data: bytes) -> bytes:
        """Return the JSON of an answer as the caller sees it, whoever read what is in it."""
        if not any(mark in data for mark in self._marks):
            return data
        resource = decode(data, max_depth=1_000_000)
        return encode(resource) if isinstance(resource, dict) and self.apply(resource) else data

    def apply(self, resource: Json) -> bool:
        """Hide in place what is hidden of a resource and of those within it; tell whether something was."""
        inner = [self._inside(value) for value in resource.values()]
        done = [rule for rule in self.rules.get(str(resource.get("resourceType")), ()) if self._hide(resource, rule)]
        if not done and not any(inner):
            return False
        resource.pop("text", None)
        meta = resource.setdefault("meta", {})
        codes = [LABELS[rule.replacement is not None] for rule in done] or [LABELS[0]]
        labels = [{"system": SYSTEM, "code": code} for code in dict.fromkeys(codes)]
        meta["security"] = [*(each for each in meta.get("security", ()) if each not in labels), *labels]
        return True

    def _inside(self, value: Any) -> bool:
        """Hide in resources below: contained ones, entries of Bundles."""
        if isinstance(value, list):
            return True in [self._inside(each) for each in value]
        if not isinstance(value, dict):
            return False
        return self.apply(value) if "resourceType" in value else self._inside([*value.values()])

    def _hide(self, resource: Json, rule: Rule) -> bool:
        try:
            places = [node.location for node in compiled(rule.path).evaluate(resource)]
        except FhirPathError:  # what cannot be told apart is hidden whole
            places = [(name,) for name in _names(self._facts, rule) if name in resource or f"_{name}" in resource]
        for place in sorted((place for place in places if place), key=_backwards, reverse=True):
            _put(resource, place, rule.replacement, self._facts)
        return any(places)


def _names(facts: Definitions, rule: Rule) -> list[str]:
    return [n for n, element in facts.types[rule.type].by_name.items() if element.name == rule.prefix[1]]


def _backwards(place: _Steps) -> tuple[tuple[bool, str, int], ...]:
    """Order places so that later members of a list go first: what goes does not move what is still to go."""
    return tuple((isinstance(s, int), s if isinstance(s, str) else "", s if isinstance(s, int) else 0) for s in place)


def _put(resource: Json, place: _Steps, replacement: Any, facts: Definitions) -> None:
    """Take an element out, or put another in its place."""
    owner, key, index = _owner(resource, place, facts)
    if owner is None:
        return
    at, mandatory, complex_ = owner
    extra = f"_{key}"
    if index is None:
        at.pop(extra, None)
        if replacement is not None:
            at[key] = replacement
        elif mandatory:
            at.pop(key, None)
            at[key if complex_ else extra] = ABSENT
        else:
            at.pop(key, None)
        return
    for name in (key, extra):
        if isinstance(at.get(name), list) and index < len(at[name]):
            del at[name][index]
    if replacement is not None:
        at.setdefault(key, []).insert(index, replacement)
        if at.get(extra):
            at[extra].insert(index, None)
    for name in (key, extra):
        if not any(each is not None for each in at.get(name) or ()):
            at.pop(name, None)
    if mandatory and key not in at and extra not in at:
        at[key if complex_ else extra] = [ABSENT]


def _owner(resource: Json, place: _Steps, facts: Definitions) -> tuple[Any, str, int | None]:
    """Return the object that an element stands in, whether it must be there and is no primitive; its name, its place
    in a list."""
    index = place[-1] if isinstance(place[-1], int) else None
    steps = place[:-1] if index is not None else place
    at: Any = resource
    kind = str(resource.get("resourceType"))
    for step in steps[:-1]:
        try:
            at = at[step]
        except (KeyError, IndexError, TypeError):
            return None, "", None
        if isinstance(at, dict) and "resourceType" in at:
            kind = str(at["resourceType"])
        elif isinstance(step, str):
            kind = _below(facts, kind, step)
    key = str(steps[-1]).removeprefix("_")
    if not isinstance(at, dict) or (key not in at and f"_{key}" not in at):
        return None, "", None
    element = facts.types[kind].by_name.get(key) if kind in facts.types else None
    below = _below(facts, kind, key)
    complex_ = below in facts.types and facts.types[below].kind != "primitive-type"
    return (at, element is not None and element.min > 0, complex_), key, index


def _below(facts: Definitions, kind: str, name: str) -> str:
    element = facts.types[kind].by_name.get(name) if kind in facts.types else None
    if element is None:
        return ""
    of = element.json_names.get(name)
    return element.type_key or element.content or (of.code if of else "")


def _touching(type_: str, rules: Sequence[Rule], registry: ParameterRegistry) -> frozenset[str]:
    found = set()
    for parameter in registry.of(type_).values():
        paths = _paths(parameter.expression, [each.expression for each in parameter.components])
        if any(_overlap(rule.prefix[1:], path) for rule in rules for path in paths):
            found |= {parameter.code} | ({"*"} if parameter.type == "reference" else set())
    return frozenset(found | {"_text", "_content"})


_NAMES = re.compile(r"(?<![\w.'%)])(?:[A-Z][A-Za-z]+|%resource)((?:\.[a-z][A-Za-z]*(?![\w]*\())+)")
_RELATIVE = re.compile(r"^[a-z][A-Za-z]*(?:\.[a-z][A-Za-z]*(?!\w*\())*")


def _paths(expression: str | None, components: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the elements that an expression leads through; the root where it does not say."""
    whole = [tuple(each[1:].split(".")) for each in _NAMES.findall(expression or "")]
    if not components:
        return whole or [()] if expression else []
    parts = [found[0] if (found := _RELATIVE.match(each.strip("( "))) else "" for each in components]
    return [(*root, *part.split(".")) if part else root for root in whole or [()] for part in parts]


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    shared = min(len(one), len(other))
    return tuple(one[:shared]) == tuple(other[:shared])
