"""The plan of one resource type: the routes of all its parameters, merged so that a shared path is walked once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fhir_server.definitions import Definitions, Element
from fhir_server.fhirpath import parse
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.extraction.routes import Lowering, NotLowerable, Route, Routes, Step
from fhir_server.search.parameter import Parameter

COLUMNS = frozenset({"_id", "_lastUpdated"})
"""Parameters that the log itself answers, so that they have no rows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How an element is read: as `kind` of parameter (`text` for what `:text` searches) in FHIR type `type`.

    value_set: for a `code`: the one that knows its system. Target: only references to this type count.
    """

    kind: str
    type: str
    value_set: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a composite: the routes from its element, and how what is there is read."""

    routes: tuple[tuple[Route, Reading], ...]


@dataclass(frozen=True, slots=True)
class Others:
    """The components of a composite but one, `base` being the path of its element; `at` is the place of that one."""

    base: tuple[Step, ...]
    parts: tuple[Part, ...]
    at: int


@dataclass(slots=True)
class Walk:
    """A node of the merged paths: what to read here, for which parameters, and where to go on.

    tails: the last step of composites: what is read here is joined to the other components.
    """

    steps: dict[Step, "Walk"] = field(default_factory=dict)
    rows: dict[Reading, list[str]] = field(default_factory=dict)
    tails: dict[Reading, dict[Others, list[str]]] = field(default_factory=dict)
    others: list[Others] = field(default_factory=list)

    def at(self, steps: Iterable[Step]) -> "Walk":
        """Return the node at the end of a path, making what is missing."""
        walk = self
        for step in steps:
            walk = walk.steps.setdefault(step, Walk())
        return walk

    def add(self, reading: Reading, code: str) -> None:
        """Read this element for a parameter, once."""
        codes = self.rows.setdefault(reading, [])
        if code not in codes:
            codes.append(code)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is generated for a type, and the parameters that are left to the general engine."""

    type: str
    walk: Walk
    general: tuple[Parameter, ...]


class Planner:
    """Makes the plans of resource types; `texts` says whether `:text` gets rows."""

    def __init__(self, facts: Definitions, readers: Readers, *, texts: bool = True) -> None:
        self._facts = facts
        self._readers = readers
        self._texts = texts

    def plan(self, type_: str, parameters: Mapping[str, Parameter]) -> Plan:
        """Return the plan of a type for its parameters."""
        walk, general = Walk(), []
        for parameter in parameters.values():
            if parameter.expression is None or parameter.code in COLUMNS:
                continue
            try:
                add = self._add_composite if parameter.type == "composite" else self._add
                add(walk, type_, parameter)
            except NotLowerable:
                general.append(parameter)
        return Plan(type_, walk, tuple(general))

    def _add(self, walk: Walk, type_: str, parameter: Parameter) -> None:
        for route, reading in self._readings(parameter.type, self._routes(type_, parameter.expression)):
            here = walk.at(route.steps)
            if (reading.kind, reading.type, reading.target) == ("reference", "Resource", "") and parameter.targets[
                1:
            ] == ():
                # `Bundle.entry[0].resource` is whatever comes first in any Bundle; `composition` is a Composition.
                reading = replace(reading, target="".join(parameter.targets))
            here.add(reading, parameter.code)
            text = Reading("text", reading.type, target=reading.target)
            if self._texts and reading.kind in ("token", "reference") and self._readers.reader("text", reading.type):
                here.add(text, f"{parameter.code}:text")

    def _add_composite(self, walk: Walk, type_: str, parameter: Parameter) -> None:
        for route in self._routes(type_, parameter.expression):
            parts = tuple(
                Part(self._readings(c.type, self._routes(type_, c.expression, route.type)))
                for c in parameter.components
            )
            if all(part.routes for part in parts):
                self._join(walk, route, parts, parameter.code)

    def _join(self, walk: Walk, base: Route, parts: tuple[Part, ...], code: str) -> None:
        # The last component is the value, which is missing more often than the code before it.
        at = next((i for i in reversed(range(len(parts))) if not any(r.from_root for r, _ in parts[i].routes)), None)
        if at is None:
            raise NotLowerable
        others = Others(base.steps, parts[:at] + parts[at + 1 :], at)
        known = walk.at(base.steps).others
        if others not in known:
            known.append(others)
        for route, reading in parts[at].routes:
            tails = walk.at((*base.steps, *route.steps)).tails.setdefault(reading, {})
            tails.setdefault(others, []).append(code)

    def _routes(self, type_: str, expression: str | None, start: str | None = None) -> Routes:
        text = str(expression)
        return Lowering(self._facts.types, type_, text).routes(parse(text), start)

    def _readings(self, kind: str, routes: Routes) -> tuple[tuple[Route, Reading], ...]:
        found = ((route, self._reading(kind, route)) for route in routes)
        return tuple((route, reading) for route, reading in found if self._readers.reader(kind, reading.type))

    def _reading(self, kind: str, route: Route) -> Reading:
        definition = self._facts.types.get(route.type)
        type_ = "Resource" if definition and definition.kind == "resource" else route.type
        if kind == "string" and route.element and route.element.path == "HumanName.family":
            type_ = route.element.path
        value_set = _value_set(route.element) if (kind, type_) == ("token", "code") else ""
        return Reading(kind, type_, value_set, route.target or "")


def _value_set(element: Element | None) -> str:
    return element.binding.value_set if element and element.binding else ""
