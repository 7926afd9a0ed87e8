"""The plan of one resource type: the routes of all its parameters, merged so that a shared path is walked once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fhir_server.definitions import Definitions, Element
from fhir_server.fhirpath.parser import parse
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.extraction.routes import Lowering, NotLowerable, Route, Routes, Step
from fhir_server.search.parameters import Component, Parameter

COLUMNS = frozenset({"_id", "_lastUpdated"})
"""Parameters that the log itself answers, so that they have no rows."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What to do with an element: read it as `kind` for the parameter `code`.

    systems: for a `code`: code to system; only: the system of all others.
    """

    code: str
    kind: str
    type: str
    target: str | None = None
    systems: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a composite: the routes from its element."""

    kind: str
    routes: Routes


@dataclass(slots=True)
class Walk:
    """A node of the merged paths: what to do here, and where to go on."""

    steps: dict[Step, "Walk"] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    composites: dict[tuple[Part, ...], list[str]] = field(default_factory=dict)

    def at(self, steps: Iterable[Step]) -> "Walk":
        """Return the node at the end of a path, making what is missing."""
        walk = self
        for step in steps:
            walk = walk.steps.setdefault(step, Walk())
        return walk


@dataclass(frozen=True, slots=True)
class Plan:
    """What is generated for a type, and the parameters that are left to the general engine."""

    type: str
    walk: Walk
    general: tuple[Parameter, ...]


class Planner:
    """Makes the plans of resource types."""

    def __init__(self, facts: Definitions, readers: Readers) -> None:
        self._facts = facts
        self._readers = readers

    def plan(self, type_: str, parameters: Mapping[str, Parameter]) -> Plan:
        """Return the plan of a type for its parameters."""
        walk, general = Walk(), []
        for parameter in parameters.values():
            if parameter.expression is None or parameter.code in COLUMNS:
                continue
            try:
                self._add(walk, type_, parameter)
            except NotLowerable:
                general.append(parameter)
        return Plan(type_, walk, tuple(general))

    def leaves(self, code: str, kind: str, routes: Routes) -> Walk:
        """Return a walk of its own for the routes of a component."""
        walk = Walk()
        for route in routes:
            walk.at(route.steps).leaves.append(self._leaf(code, kind, route))
        return walk

    def _add(self, walk: Walk, type_: str, parameter: Parameter) -> None:
        routes = self._routes(type_, str(parameter.expression))
        if parameter.type == "composite":
            made = [(route, self._parts(type_, route, parameter.components)) for route in routes]
            for route, parts in made:
                if all(part.routes for part in parts):
                    walk.at(route.steps).composites.setdefault(parts, []).append(parameter.code)
            return
        for route in self._readable(parameter.type, routes):
            leaves = walk.at(route.steps).leaves
            leaf = self._leaf(parameter.code, parameter.type, route)
            if leaf not in leaves:
                leaves.append(leaf)

    def _routes(self, type_: str, expression: str, start: str | None = None) -> Routes:
        return Lowering(self._facts.types, type_, expression).routes(parse(expression), start)

    def _parts(self, type_: str, route: Route, components: tuple[Component, ...]) -> tuple[Part, ...]:
        return tuple(
            Part(c.type, self._readable(c.type, self._routes(type_, c.expression, route.type))) for c in components
        )

    def _readable(self, kind: str, routes: Routes) -> Routes:
        return tuple(route for route in routes if self._readers.reader(kind, self._read_as(route.type)))

    def _leaf(self, code: str, kind: str, route: Route) -> Leaf:
        systems = _value_set(route.element) if kind == "token" and route.type == "code" else None
        return Leaf(code, kind, self._read_as(route.type), route.target, systems)

    def _read_as(self, type_: str) -> str:
        definition = self._facts.types.get(type_)
        return "Resource" if definition and definition.kind == "resource" else type_


def _value_set(element: Element | None) -> str | None:
    return element.binding.value_set if element and element.binding else None
