"""Python source for the check of one shape: an object with just these properties in just this order.

What the names alone decide (unknown, missing, two values of a choice) is settled before; only values are left to look
at, each with the cheapest test that lets the usual good value through. What fails that goes to the full check. Objects
within are checked in place if they look like those of the sample, else through their own shapes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fhir_server.validation.structure.plan import MAX_NESTING, Node, Plan, Property, shape_fault

# Objects written in place: how many within each other, how many properties, how many shapes at one spot, and the lines
# of source from which on there are no more.
_WITHIN = 3
_PROPERTIES = 6
_SHAPES = 3
_LINES = 150

_KNOWN = "{v} not in {known} and not {learn}({v})"
_TEXT = "not ({v} > '!' and {v}.isprintable() and len({v}) <= MAX_STRING) and not {full}({v})"
# Good values never meet {full} or {learn}. A wrong JSON type raises, or fails the test.
_TESTS = {
    "boolean": "{v} is not True and {v} is not False",
    "decimal": "type({v}) is not Decimal and type({v}) is not int and not {full}({v})",
    "integer": "type({v}) is not int or not -2147483648 <= {v} <= 2147483647",
    "positiveInt": "type({v}) is not int or not 1 <= {v} <= 2147483647",
    "unsignedInt": "type({v}) is not int or not 0 <= {v} <= 2147483647",
    "id": "not match_id({v})",
    "string": _TEXT,
    "markdown": _TEXT,
}
_REPEATED = frozenset("code uri url canonical date dateTime instant time".split())  # noqa: SIM905
# Texts that come again and again: looking them up is faster than looking at them. Names and addresses are not of them.
_REPEATED_TEXT = frozenset(("Coding.display", "CodeableConcept.text"))


class Names(Protocol):
    """Names by which generated code knows its constants; asking for one binds it."""

    def shapes(self, key: str) -> str:
        """The shapes of a node."""

    def whole(self, node: Node) -> str:
        """The rules on several properties of a node together."""

    def check(self, node: Node, found: Property) -> str:
        """The check of a property as closures."""

    def pair(self, node: Node, found: Property) -> str:
        """The check of a property with its `_name`."""

    def targets(self, node: Node) -> str:
        """The types that a reference may name."""

    def codes(self, found: Property) -> str:
        """The codes of a required binding."""

    def full(self, found: Property) -> str:
        """The full check of a primitive."""

    def known(self, found: Property) -> tuple[str, str]:
        """The remembered values of a primitive, and the full check that adds to them."""


def shape_source(plan: Plan, node: Node, sample: Mapping[str, Any], names: Names) -> str:
    """The source of `check(o, s, n)`: object, scope, level of nesting. The sample must be a good object."""
    writer = _Writer(plan, names)
    writer.line(_TOP, f"{''.join(f'v{i},' for i in range(len(sample)))} = o.values()")
    writer.members(node, sample, {key: f"v{index}" for index, key in enumerate(sample)}, _TOP)
    if _has_whole(node, sample):
        writer.line(_TOP, f"if not {names.whole(node)}(o, s, n): return False")
    return "\n".join(["def check(o, s, n):", *writer.lines, " return True"])


@dataclass(frozen=True, slots=True)
class _Spot:
    """A spot in the source: its indentation, levels of nesting below the object's, objects in place around it."""

    indent: int = 1
    level: int = 0
    within: int = 0

    @property
    def n(self) -> str:
        return f"n + {self.level}" if self.level else "n"


_TOP = _Spot()


class _Writer:
    def __init__(self, plan: Plan, names: Names) -> None:
        self.lines: list[str] = []
        self._plan = plan
        self._names = names
        self._variables = 0

    def line(self, spot: _Spot, text: str) -> None:
        self.lines.append(" " * spot.indent + text)

    def members(self, node: Node, sample: Mapping[str, Any], place: Mapping[str, str], spot: _Spot) -> None:
        """Tests of all properties; `place` is the expression for each."""
        for key, value in sample.items():
            found = node.properties.get(key)
            if found is not None and "_" + key not in place:
                self._property(node, found, (place[key], value), spot)
            elif found is not None:
                self._pair(node, found, f"({place[key]}, {place['_' + key]})", spot)
            elif key != "resourceType" and key[1:] not in place:
                self._pair(node, node.properties[key[1:]], f"(None, {place[key]})", spot)

    def _pair(self, node: Node, found: Property, pair: str, spot: _Spot) -> None:
        self.line(spot, f"if not {self._names.pair(node, found)}({pair}, s, {spot.n}): return False")

    def _property(self, node: Node, found: Property, value: tuple[str, Any], spot: _Spot) -> None:
        expression, sample = value
        if node.type == "Reference" and found.name == "reference":
            variable = self._variable(expression, spot)
            missed = f"not {self._names.check(node, found)}({variable}, s, {spot.n})"
            self.line(spot, f"if references[{variable}] not in {self._names.targets(node)} and {missed}: return False")
            return
        if found.resource:
            self.line(spot, f"if not {self._names.check(node, found)}({expression}, s, {spot.n}): return False")
            return
        if found.nests:
            self.line(spot, f"if n >= {MAX_NESTING - spot.level}: return False")
            spot = replace(spot, level=spot.level + 1)
        if not found.many:
            self._value(found, expression, [sample], spot)
            return
        variable, item = self._variable(expression, spot), self._new()
        self.line(spot, f"if type({variable}) is not list or not {variable}: return False")
        self.line(spot, f"for {item} in {variable}:")
        self._value(found, item, sample, replace(spot, indent=spot.indent + 1))

    def _value(self, found: Property, expression: str, samples: Iterable[Any], spot: _Spot) -> None:
        if found.node:
            self._object(found.node, self._variable(expression, spot), samples, spot)
            return
        test = self._test(found)
        if test.count("{v}") > 1:
            expression = self._variable(expression, spot)
        self.line(spot, f"if {test.replace('{v}', expression)}: return False")

    def _object(self, key: str, variable: str, samples: Iterable[Any], spot: _Spot) -> None:
        branch = "if"
        node = self._plan.node(key)
        inner = replace(spot, indent=spot.indent + 1, within=spot.within + 1)
        for sample in self._in_place(node, samples, spot):
            names = "".join(f" and {name!r} in {variable}" for name in sample)
            self.line(spot, f"{branch} len({variable}) == {len(sample)}{names}:")
            self.members(node, sample, {name: f"{variable}[{name!r}]" for name in sample}, inner)
            if _has_whole(node, sample):
                self.line(inner, f"if not {self._names.whole(node)}({variable}, s, {spot.n}): return False")
            branch = "elif"
        shapes = self._names.shapes(key)
        self.line(spot, f"{branch} not {shapes}[tuple({variable})]({variable}, s, {spot.n}): return False")

    def _in_place(self, node: Node, samples: Iterable[Any], spot: _Spot) -> Iterator[Mapping[str, Any]]:
        """Samples of the shapes that are worth a test in place."""
        if spot.within >= _WITHIN:
            return
        seen: set[frozenset[str]] = set()
        for sample in samples:
            if not isinstance(sample, dict) or len(seen) >= _SHAPES or len(self.lines) > _LINES:
                return
            if len(sample) > _PROPERTIES or frozenset(sample) in seen or any(name[0] == "_" for name in sample):
                continue
            if not shape_fault(node, sample):
                seen.add(frozenset(sample))
                yield sample

    def _variable(self, expression: str, spot: _Spot) -> str:
        if expression.isidentifier():
            return expression
        variable = self._new()
        self.line(spot, f"{variable} = {expression}")
        return variable

    def _new(self) -> str:
        self._variables += 1
        return f"x{self._variables}"

    def _test(self, found: Property) -> str:
        """The condition under which a primitive value `{v}` is bad."""
        primitive = found.primitive
        assert primitive
        if found.codes is not None:
            return f"{{v}} not in {self._names.codes(found)}"
        if primitive.name in _REPEATED or found.path in _REPEATED_TEXT:
            known, learn = self._names.known(found)
            return _KNOWN.replace("{known}", known).replace("{learn}", learn)
        test = _TESTS.get(primitive.name, "not {full}({v})")
        return test.replace("{full}", self._names.full(found)) if "{full}" in test else test


def _has_whole(node: Node, keys: Iterable[str]) -> bool:
    if node.kind == "resource":
        return "contained" in keys
    if node.type == "Reference":
        return "type" in keys
    return node.codes is not None
