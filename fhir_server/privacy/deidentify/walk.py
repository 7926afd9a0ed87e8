"""A resource walked with its definitions: each element by the most special rule, what has none is left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fhir_server.definitions import Definitions
from fhir_server.definitions.model import Element
from fhir_server.privacy.deidentify.key import Key
from fhir_server.privacy.deidentify.methods import Place, apply
from fhir_server.privacy.deidentify.rules import Rule, RuleSet

_RESOURCE: Final = "Resource"
_OWNER: Final = ("subject", "patient", "beneficiary", "individual", "for", "candidate", "deliverTo")
_ID: Final = re.compile(r"([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?$")
_NEVER: Final = frozenset(("extension", "modifierExtension"))
"""Elements that no rule on what they stand in keeps."""

SECURITY: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
LABELS: Final = ("PSEUDED", "REDACTED")


class _Child(NamedTuple):
    """What is known of a property: its element's path and type, the key of its definition, its rule, and whether that
    is one for all elements of the type."""

    path: str
    type: str
    key: str | None
    rule: Rule | None
    by_type: bool
    extension: bool


_Table = Mapping[str, _Child]
_Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _At:
    """Where the walk is within a resource: whose it is, rules for single elements, whether all below is kept, whether
    that goes for extensions too."""

    patient: str
    hits: Mapping[_Steps, Rule]
    kept: bool = False
    whole: bool = False


class Deidentifier:
    """De-identifies by one set of rules and one key; `year` is the present one."""

    def __init__(self, rules: RuleSet, key: Key, facts: Definitions, year: int) -> None:
        self._rules, self._key, self._facts, self._year = rules, key, facts, year
        self._tables: dict[tuple[str, str], _Table] = {}

    def resource(self, resource: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
        """Return what may be shown of a resource; `owner`: the patient whose it is, where it does not say so itself.

        A label in `meta.security` says what was done.
        """
        type_ = str(resource.get("resourceType"))
        if type_ not in self._facts.types:
            return {}
        at = _At(_owner_of(resource) or owner, self._hits(type_, resource))
        found = {"resourceType": type_, **self._object(resource, (type_, type_), (), at)}
        if type_ != "Parameters":
            meta = found.setdefault("meta", {})
            labels = [{"system": SECURITY, "code": code} for code in LABELS]
            meta["security"] = [*(each for each in meta.get("security", ()) if each not in labels), *labels]
        return found

    def _hits(self, type_: str, resource: Mapping[str, Any]) -> dict[_Steps, Rule]:
        found: dict[_Steps, Rule] = {}
        for name in (type_, "DomainResource", _RESOURCE):
            for expression, rule in self._rules.general.get(name, ()):
                for node in expression.evaluate(resource):
                    found.setdefault(node.location, rule)
        return found

    def _object(self, value: Mapping[str, Any], of: tuple[str, str], steps: _Steps, at: _At) -> dict[str, Any]:
        table = self._tables.get(of) or self._table(*of)
        found = {}
        for name, below in value.items():
            child = table.get(name)
            if child is None:
                continue
            left = self._property(child, below, (*steps, name), at)
            if left is not None:
                found[name] = left
        return found

    def _property(self, child: _Child, value: Any, steps: _Steps, at: _At) -> Any:
        if not isinstance(value, list):
            return self._element(child, value, steps, at)
        found = [self._element(child, item, (*steps, index), at) for index, item in enumerate(value)]
        return [item for item in found if item is not None] or None

    def _element(self, child: _Child, value: Any, steps: _Steps, at: _At) -> Any:
        rule = at.hits.get(steps) if at.hits else None
        kept = at.whole or (at.kept and not child.extension)
        if rule is None and not (kept and child.by_type):
            rule = child.rule
        if rule is None and not isinstance(value, dict):
            return value if kept and child.key is None else None
        if rule is not None and rule.method == "redact":
            return None
        if isinstance(value, dict):
            return self._below(child, value, (rule, steps), at)
        assert rule is not None
        return apply(rule, value, Place(child.type, at.patient, child.path, self._year), self._key)

    def _below(self, child: _Child, value: Mapping[str, Any], by: tuple[Rule | None, _Steps], at: _At) -> Any:
        rule, steps = by
        if child.type == _RESOURCE:
            return self.resource(value, at.patient)
        if rule is not None and rule.method == "substitute":
            return rule.options["with"]
        if child.key is None or (rule is not None and rule.method != "keep"):
            return None  # a method for values alone
        whole = at.whole or (rule is not None and child.extension)
        keeps = rule is not None or whole or (at.kept and not child.extension)
        return self._object(value, (child.key, child.path), steps, _At(at.patient, at.hits, keeps, whole)) or None

    def _table(self, key: str, path: str) -> _Table:
        definition = self._facts.types[key]
        table = {}
        for name, element in definition.by_name.items():
            table[name] = self._child(definition.name, key, path, (name, element))
        self._tables[key, path] = table
        return table

    def _child(self, type_: str, key: str, path: str, named: tuple[str, Element]) -> _Child:
        name, element = named
        kind = element.json_names.get(name)
        code = kind.code if kind else ""
        here = element.content if element.content else f"{path}.{element.name}"
        plain = self._rules.plain
        names = [f"{here}.ofType({code})", here]
        if "." not in key:
            names += [f"{type_}.{element.name}.ofType({code})", f"{type_}.{element.name}"]
            if self._facts.types[key].kind == "resource":
                names += [f"DomainResource.{element.name}", f"Resource.{element.name}"]
        rule = next((plain[each] for each in names if each in plain), None)
        below = element.type_key or element.content or (code if self._is_complex(code) else None)
        start = here if element.type_key or element.content else code if below else here
        extension = element.name in _NEVER
        if rule is not None:
            return _Child(start, code, below, rule, False, extension)
        return _Child(start, code, below, plain.get(code), True, extension)

    def _is_complex(self, code: str) -> bool:
        definition = self._facts.types.get(code)
        return definition is not None and definition.kind in ("complex-type", "backbone")


def _owner_of(resource: Mapping[str, Any]) -> str:
    """Return the id of the patient that a resource is about, however its reference is written."""
    if resource.get("resourceType") == "Patient":
        return str(resource.get("id", ""))
    for name in _OWNER:
        value = resource.get(name)
        text = value.get("reference") if isinstance(value, dict) else None
        match = _ID.search(text) if isinstance(text, str) else None
        if match:
            return match[1]
    return ""
