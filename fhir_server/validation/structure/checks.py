"""Good or bad, without findings: a check for every property, made of closures. Speaks for any shape of object.

A check takes the value, the scope of its references and the level of nesting. It may also raise one of `BAD` for a
value of the wrong JSON type: that costs nothing where the value is right.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.validation.structure.contained import list_faults, member_faults
from fhir_server.validation.structure.plan import MAX_NESTING, Node, Plan, Property, content_elements, shape_fault
from fhir_server.validation.structure.references import Scope, scope_of

Check = Callable[[Any, Scope, int], bool]
BAD = (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError)


class Checks:
    """The checks of a plan; `objects` makes the check of a node and is where the faster road takes over."""

    def __init__(self, plan: Plan, objects: Callable[[Node], Check] | None = None) -> None:
        self._plan = plan
        self._objects = objects or self.any_object
        self._made: dict[str, Check] = {}
        self._properties: dict[tuple[str, str], Check] = {}
        self._pairs: dict[tuple[str, str], Check] = {}

    def node(self, key: str) -> Check:
        """The check of an object of a node. Types may hold themselves, so it is looked up when first used."""

        def check(value: Any, scope: Scope, level: int) -> bool:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = self._objects(self._plan.node(key))
            return made(value, scope, level)

        return self._made.get(key) or check

    def any_object(self, node: Node) -> Check:
        """The check of a node whatever the object's shape."""
        whole, careful, rules = self.whole(node), self._careful(node), _Rules(node)
        table: dict[str, tuple[int, Check]] = {}

        def check(value: Any, scope: Scope, level: int) -> bool:
            if type(value) is not dict:
                return False
            seen = 0
            for name, item in value.items():
                entry = table.get(name)
                if entry is None:
                    if name not in rules.bits:
                        return careful(value, scope, level)
                    entry = table[name] = self._entry(node, rules, name)
                if seen & entry[0] or not entry[1](item, scope, level):
                    return False
                seen |= entry[0]
            return rules.hold(seen) and (whole is None or whole(value, scope, level))

        return check

    def _entry(self, node: Node, rules: "_Rules", name: str) -> tuple[int, Check]:
        found = node.properties.get(name)
        return rules.bits[name], _anything if found is None else self.property(node, found)

    def _careful(self, node: Node) -> Check:
        """The check of an object that has `_name` properties, or unknown ones."""
        whole = self.whole(node)

        def check(value: Any, scope: Scope, level: int) -> bool:
            if shape_fault(node, value):
                return False
            place = (scope, level)
            for name in value:
                if not self._member(node, value, name, place):
                    return False
            return whole is None or whole(value, scope, level)

        return check

    def _member(self, node: Node, value: Any, name: str, place: tuple[Scope, int]) -> bool:
        found = node.properties.get(name)
        if found is None:
            if not name.startswith("_"):
                return True  # resourceType: the caller chose the node by it
            return name[1:] in value or self.pair(node, node.properties[name[1:]])((None, value[name]), *place)
        if "_" + name in value:
            return self.pair(node, found)((value[name], value["_" + name]), *place)
        return self.property(node, found)(value[name], *place)

    def property(self, node: Node, found: Property) -> Check:
        """The check of a property that has no `_name` beside it."""
        made = self._properties.get((node.key, found.name))
        if made is None:
            made = self._properties[node.key, found.name] = self._property(node, found)
        return made

    def _property(self, node: Node, found: Property) -> Check:
        if found.name == "contained" and found.resource:
            return self._contained
        one = self._one(node, found)
        one = _nested(one) if found.nests else one
        return _every(one) if found.many else one

    def _one(self, node: Node, found: Property) -> Check:
        if found.resource:
            return self.resource
        if found.node:
            return self.node(found.node)
        if node.type == "Reference" and found.name == "reference":
            return self._reference(node)
        if found.codes is not None:
            return _one_of(found.codes)
        assert found.primitive
        accepts = found.primitive.accepts
        return lambda value, scope, level: accepts(value)

    def pair(self, node: Node, found: Property) -> Check:
        """The check of `(name, _name)`, where the first is None if absent."""
        made = self._pairs.get((node.key, found.name))
        if made is None:
            one, sibling = self._one(node, found), self.node(found.sibling or "")
            made = self._pairs[node.key, found.name] = (_many_pairs if found.many else _one_pair)(one, sibling)
        return made

    def resource(self, value: Any, scope: Scope, level: int) -> bool:
        """A resource within a Bundle or Parameters: references to contained resources are its own affair."""
        return self.root(value, scope.transaction, level)

    def root(self, value: Any, transaction: bool, level: int = 0) -> bool:
        """A resource of its own."""
        name = value["resourceType"]
        if name not in self._plan.resource_types:
            return False
        return self.node(name)(value, scope_of(value, transaction), level)

    def whole(self, node: Node) -> Check | None:
        """The rules on several properties of an object together; None when there are none."""
        if node.kind == "resource":
            return lambda value, scope, level: "contained" not in value or not any(list_faults(value, scope.used))
        if node.type == "Reference":
            return self._reference_type(node)
        if node.codes is not None:
            return coding_check(node.type, node.codes)
        return None

    def _contained(self, value: Any, scope: Scope, level: int) -> bool:
        if type(value) is not list or not value or level >= MAX_NESTING:
            return False
        for item in value:
            if item["resourceType"] not in self._plan.resource_types or any(member_faults(item)):
                return False
            if not self.node(item["resourceType"])(item, scope, level + 1):
                return False
        return True

    def _reference(self, node: Node) -> Check:
        references, targets = self._plan.references, node.targets or frozenset()
        return lambda value, scope, level: (
            references[value] in targets or (type(value) is str and references.resolve(value, scope) in targets)
        )

    def _reference_type(self, node: Node) -> Check:
        references, targets = self._plan.references, node.targets or frozenset()

        def check(value: Any, scope: Scope, level: int) -> bool:
            if "type" not in value:
                return True
            named = references.named_type(value["type"])
            found = references.resolve(value["reference"], scope) if "reference" in value else None
            return named in targets and (not named or not found or named == found)

        return check


class _Rules:
    """What the names of an object's properties must be like, as bits: one for each element, whatever its type."""

    def __init__(self, node: Node) -> None:
        elements = {found.element: 1 << index for index, found in enumerate(node.properties.values())}
        self.bits = {name: elements[found.element] for name, found in node.properties.items()}
        self._required = sum({self.bits[options[0]] for options in node.required})
        self._extension = self._value = 0
        if node.kind == "resource":
            self.bits["resourceType"] = 0
        if node.type == "Extension" and node.kind == "element":
            self._extension, self._value = elements["extension"], elements["value"]
        self._content = sum(elements[name] for name in content_elements(node))
        self._free = node.kind == "resource"

    def hold(self, seen: int) -> bool:
        """Whether these elements are enough, and not too many."""
        if seen & self._required != self._required or not (self._free or seen & self._content):
            return False
        return not self._extension or bool(seen & self._extension) != bool(seen & self._value)


def _anything(value: Any, scope: Scope, level: int) -> bool:
    return True


def coding_check(type_: str, codes: Mapping[str, str]) -> Check:
    """The check of a required binding: a Coding in the set, or a CodeableConcept with at least one that is.

    Spec: https://hl7.org/fhir/R4/terminologies.html#required
    """

    def coding(value: Any) -> bool:
        code = value.get("code")
        return code in codes and codes[code] == value.get("system")

    def concept(value: Any, scope: Scope, level: int) -> bool:
        return any(map(coding, value.get("coding", ()))) or not ("coding" in value or "text" in value)

    return concept if type_ == "CodeableConcept" else lambda value, scope, level: coding(value)


def _one_of(codes: Mapping[str, str]) -> Check:
    return lambda value, scope, level: value in codes


def _every(one: Check) -> Check:
    def check(value: Any, scope: Scope, level: int) -> bool:
        if type(value) is not list or not value:
            return False
        for item in value:  # noqa: SIM110  (a third faster than all())
            if not one(item, scope, level):
                return False
        return True

    return check


def _one_pair(one: Check, sibling: Check) -> Check:
    def check(pair: Any, scope: Scope, level: int) -> bool:
        value, extra = pair
        if value is None:
            return "extension" in extra and sibling(extra, scope, level)
        return one(value, scope, level) and sibling(extra, scope, level)

    return check


def _many_pairs(one: Check, sibling: Check) -> Check:
    both = _one_pair(one, sibling)

    def check(pair: Any, scope: Scope, level: int) -> bool:
        values, extras = pair
        values = [None] * len(extras) if values is None else values
        if type(values) is not list or type(extras) is not list or len(values) != len(extras) or not extras:
            return False
        for value, extra in zip(values, extras, strict=True):
            if not (one(value, scope, level) if extra is None else both((value, extra), scope, level)):
                return False
        return True

    return check


def _nested(one: Check) -> Check:
    return lambda value, scope, level: level < MAX_NESTING and one(value, scope, level + 1)
