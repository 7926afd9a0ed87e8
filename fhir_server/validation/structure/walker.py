"""The slow road: walks a resource that is known to be bad and says everything that is wrong with it, and where."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.validation.findings import Findings
from fhir_server.validation.structure.checks import coding_check
from fhir_server.validation.structure.contained import list_faults, member_faults
from fhir_server.validation.structure.plan import MAX_NESTING, Node, Plan, Property, emptiness, missing
from fhir_server.validation.structure.primitives import json_type, shorten
from fhir_server.validation.structure.references import Scope, scope_of

# Looking for the name that was meant is dear; the first faults are those that people read.
_SUGGESTIONS = 20
_LISTED_CODES = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Where the walk is: FHIRPath, the scope of references, the level of nesting."""

    path: str
    scope: Scope
    level: int = 0

    def member(self, found: Property) -> "Place":
        """The place of an element."""
        return replace(self, path=f"{self.path}.{found.shown}")

    def item(self, index: int) -> "Place":
        """The place of one repetition."""
        return replace(self, path=f"{self.path}[{index}]")

    def deeper(self) -> "Place":
        """The same place, one level of nesting below."""
        return replace(self, level=self.level + 1)


class Walker:
    """Collects the findings of one resource."""

    def __init__(self, plan: Plan, findings: Findings) -> None:
        self._plan = plan
        self._findings = findings
        self._suggestions = _SUGGESTIONS

    def root(self, value: Any, transaction: bool, path: str = "", level: int = 0) -> None:
        """A resource of its own. `path` is where it stands; empty: at the top, so that its type is the path."""
        if not isinstance(value, dict):
            self._add("structure", path or "Resource", f"expected a resource (an object), found {json_type(value)}")
            return
        name = self._resource_type(value, path or "Resource")
        if name:
            self._object(self._plan.node(name), value, Place(path or name, scope_of(value, transaction), level))

    def _resource_type(self, value: dict[str, Any], path: str) -> str | None:
        name = value.get("resourceType")
        if "resourceType" not in value:
            self._add("required", path, "resourceType is missing: a resource must say what it is")
        elif not isinstance(name, str):
            self._add("structure", path, f"resourceType must be a string, found {json_type(name)}")
        elif name not in self._plan.resource_types:
            near = self._nearest(name, self._plan.resource_types)
            self._add("structure", path, f"{shorten(name)} is not a resource type{near}")
        else:
            return name
        return None

    def _object(self, node: Node, value: Any, place: Place) -> None:
        if type(value) is not dict:
            self._add("structure", place.path, f"expected an object ({node.type}), found {json_type(value)}")
            return
        before = len(self._findings.issues)
        self._names(node, value, place)
        for name in value:
            self._member(node, value, name, place)
        if len(self._findings.issues) == before:
            self._whole(node, value, place)

    def _names(self, node: Node, value: dict[str, Any], place: Place) -> None:
        """What the names alone tell: too little, or two values of one choice."""
        values = {name.removeprefix("_") for name in value}
        for choice in node.choices:
            if len(both := sorted(values & choice)) > 1:
                element = node.properties[both[0]].element
                text = f"{' and '.join(both)} exclude each other: {element}[x] has one value"
                self._add("structure", f"{place.path}.{element}", text)
        if not value:
            self._add("structure", place.path, "an object must not be empty")
            return
        for options in missing(node, value):
            element = node.properties[options[0]].element
            what = f"one of {', '.join(options)}" if len(options) > 1 else element
            text = f"{what} is missing: {_name(node)} must have it"
            self._findings.add("required", place.path, text, absent=element)
        if lacking := emptiness(node, values):
            self._add("invariant", place.path, lacking)

    def _member(self, node: Node, value: dict[str, Any], name: str, place: Place) -> None:
        found = node.properties.get(name)
        if found is None and name.startswith("_"):
            found = node.properties.get(name[1:])
            if found and found.sibling:
                if name[1:] not in value:
                    self._pair(node, found, (None, value[name]), place.member(found))
                return
        if name == "resourceType" and node.kind == "resource":
            return
        if found is None or name != found.name:
            self._unknown(node, name, place)
        elif "_" + name in value and found.sibling:
            self._pair(node, found, (value[name], value["_" + name]), place.member(found))
        else:
            self._property(node, found, value[name], place.member(found))

    def _unknown(self, node: Node, name: str, place: Place) -> None:
        hint = _choice_hint(node, name) or self._nearest(name, node.properties)
        text = f"{shorten(name)} is not an element of {_name(node)}{hint}"
        self._findings.add("structure", place.path, text, absent=_delimited(name[:60]))

    def _nearest(self, name: str, names: Iterable[str]) -> str:
        if self._suggestions <= 0 or len(name) > 60:
            return ""
        self._suggestions -= 1
        by_lower = {known.lower(): known for known in names}
        near = difflib.get_close_matches(name.lower(), by_lower, 1)
        return f"; did you mean {by_lower[near[0]]}?" if near else ""

    def _property(self, node: Node, found: Property, value: Any, place: Place) -> None:
        if found.name == "contained" and found.resource:
            self._contained(value, place)
            return
        if not found.many:
            if isinstance(value, list):
                self._add("structure", place.path, f"{found.name} occurs at most once: expected no list")
            else:
                self._value(node, found, value, place)
        elif self._is_list(found, value, place):
            for index, item in enumerate(value):
                self._value(node, found, item, place.item(index))

    def _is_list(self, found: Property, value: Any, place: Place) -> bool:
        if not isinstance(value, list):
            self._add("structure", place.path, f"{found.name} may repeat: expected a list, found {json_type(value)}")
        elif not value:
            self._add("structure", place.path, "a list must not be empty")
        else:
            return True
        return False

    def _value(self, node: Node, found: Property, value: Any, place: Place) -> None:
        if value is None:
            self._add("structure", place.path, "null is not a value: leave the element out")
            return
        if found.nests:
            if place.level >= MAX_NESTING:
                self._add("too-costly", place.path, f"nested deeper than {MAX_NESTING} levels")
                return
            place = place.deeper()
        if found.resource:
            self.root(value, place.scope.transaction, place.path, place.level)
        elif found.node:
            self._object(self._plan.node(found.node), value, place)
        else:
            self._primitive(node, found, value, place)

    def _primitive(self, node: Node, found: Property, value: Any, place: Place) -> None:
        primitive = found.primitive
        assert primitive
        if not primitive.accepts(value):
            self._add(
                "structure" if json_type(value) != primitive.json else "value", place.path, primitive.fault(value)
            )
        elif found.codes is not None and value not in found.codes:
            near = self._nearest(value, found.codes) if len(found.codes) > _LISTED_CODES else ""
            known = f": expected {', '.join(found.codes)}" if len(found.codes) <= _LISTED_CODES else near
            self._add("code-invalid", place.path, f"{shorten(value)} is not in {found.value_set}{known}")
        elif node.type == "Reference" and found.name == "reference":
            self._reference(node, value, place)

    def _reference(self, node: Node, value: str, place: Place) -> None:
        targets = node.targets or frozenset()
        if self._plan.references.resolve(value, place.scope) not in targets:
            self._add("value", place.path, self._plan.references.fault(value, place.scope, targets))

    def _pair(self, node: Node, found: Property, pair: tuple[Any, Any], place: Place) -> None:
        value, extra = pair
        if not found.many:
            self._one_pair(node, found, pair, place)
            return
        if value is not None and not self._is_list(found, value, place):
            return
        if not isinstance(extra, list) or not extra:
            self._add("structure", place.path, f"_{found.name} must be a list with an item for each of {found.name}")
            return
        values = [None] * len(extra) if value is None else value
        if len(values) != len(extra):
            text = f"{found.name} has {len(values)} items and _{found.name} {len(extra)}: null must fill the gaps"
            self._add("structure", place.path, text)
        for index, one in enumerate(zip(values, extra, strict=False)):
            self._one_pair(node, found, one, place.item(index))

    def _one_pair(self, node: Node, found: Property, pair: tuple[Any, Any], place: Place) -> None:
        value, extra = pair
        if value is not None:
            self._property(node, replace(found, many=False), value, place)
            if extra is None and found.many:
                return
        elif extra is None:
            self._add("structure", place.path, f"neither {found.name} nor _{found.name} has a value here")
            return
        elif isinstance(extra, dict) and "extension" not in extra:
            self._add("structure", place.path, f"_{found.name} must have extensions where {found.name} has no value")
            return
        self._object(self._plan.node(found.sibling or ""), extra, place)

    def _contained(self, value: Any, place: Place) -> None:
        if not isinstance(value, list) or not value:
            self._add("structure", place.path, f"contained must be a list of resources, found {json_type(value)}")
            return
        if place.level >= MAX_NESTING:
            self._add("too-costly", place.path, f"nested deeper than {MAX_NESTING} levels")
            return
        for index, item in enumerate(value):
            self._contained_resource(item, place.item(index).deeper())

    def _contained_resource(self, value: Any, place: Place) -> None:
        if not isinstance(value, dict):
            self._add("structure", place.path, f"expected a resource (an object), found {json_type(value)}")
            return
        for code, path, text in member_faults(value):
            self._add(code, f"{place.path}.{path}", text)
        name = self._resource_type(value, place.path)
        if name:
            nested = {key: item for key, item in value.items() if key != "contained"}
            self._object(self._plan.node(name), nested, place)

    def _whole(self, node: Node, value: dict[str, Any], place: Place) -> None:
        """Rules on several properties together, for objects in which each is good by itself."""
        if node.kind == "resource":
            for code, index, text in list_faults(value):
                self._add(code, f"{place.path}.contained[{index}]", text)
        if node.type == "Reference" and "type" in value:
            self._reference_type(node, value, place)
        if node.codes is not None and not coding_check(node.type, node.codes)(value, place.scope, 0):
            known = f": expected {', '.join(node.codes)}" if len(node.codes) <= _LISTED_CODES else ""
            self._add("code-invalid", place.path, f"no coding is in {node.value_set}{known}")

    def _reference_type(self, node: Node, value: dict[str, Any], place: Place) -> None:
        references, targets = self._plan.references, node.targets or frozenset()
        named = references.named_type(value["type"])
        found = references.resolve(value["reference"], place.scope) if "reference" in value else None
        place = place.member(node.properties["type"])
        if named is None:
            self._add("value", place.path, f"{shorten(value['type'])} is not a resource type")
        elif named not in targets:
            expected = ", ".join(sorted(target for target in targets if target))
            self._add("value", place.path, f"the type is {named}; expected {expected}")
        elif named and found and named != found:
            self._add("value", place.path, f"the type is {named}, but the reference is to {found}")

    @property
    def _add(self) -> Callable[[str, str, str], None]:
        return self._findings.add


def _choice_hint(node: Node, name: str) -> str:
    """What to say of `valueMoney` where value[x] cannot be Money."""
    for found in node.properties.values():
        rest = name.removeprefix(found.element)
        if found.name != found.element and rest != name and rest[:1].isupper():
            others = sorted(p.name for p in node.properties.values() if p.element == found.element)
            return f"; {found.element}[x] may be {', '.join(others)}"
    return ""


def _delimited(name: str) -> str:
    """A name as FHIRPath: one that is no identifier stands between backticks."""
    plain = name.isidentifier() and name.isascii()
    return name if plain else "`" + shorten(name)[1:-1].replace("`", "\\u0060") + "`"


def _name(node: Node) -> str:
    """The type or the path of a node, as people know it."""
    return node.type if node.kind == "sibling" else node.key.partition("|")[0]
