"""The fast road: good or bad, by checks generated for each shape of object that comes by.

A shape costs a millisecond to compile and saves some microseconds each time, so the number of shapes and the time spent
on them are bounded; other objects go through `Checks.any_object`. See docs/adr/0006-validation.md.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from threading import Lock
from typing import Any, TypeVar

from fhir_server.validation.structure.checks import BAD, Check, Checks
from fhir_server.validation.structure.plan import Node, Plan, Property
from fhir_server.validation.structure.primitives import MAX_STRING, Primitive, match_id
from fhir_server.validation.structure.references import Scope, scope_of
from fhir_server.validation.structure.source import shape_source

MAX_SHAPES = 2000
MAX_KEYS = 64
# Seconds of compilation: at once, and for each second after.
BURST = 2.0
SHARE = 0.02

_REMEMBERED = 8192
_LONGEST_REMEMBERED = 64

T = TypeVar("T")


class Budget:
    """How much time there is for compilation: a bucket that fills with time."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._left = BURST
        self._then = clock()

    def left(self) -> bool:
        """Whether there is time to compile a shape."""
        now = self.clock()
        self._left = min(BURST, self._left + (now - self._then) * SHARE)
        self._then = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        """Take from what is left; it may go below nothing once."""
        self._left -= seconds


class Known(set[object]):
    """Good values of a primitive type, a bounded number; others must be looked at."""

    def __init__(self, accepts: Callable[[object], bool]) -> None:
        super().__init__()
        self._accepts = accepts

    def learn(self, value: object) -> bool:
        """Whether a value is good; if so it is remembered."""
        if not self._accepts(value):
            return False
        if len(value) <= _LONGEST_REMEMBERED:  # type: ignore[arg-type]
            if len(self) >= _REMEMBERED:
                self.clear()
            self.add(value)
        return True


class Constants:
    """What the generated code of one node refers to, by the names that it uses (see `source.Names`)."""

    def __init__(self, road: "FastRoad") -> None:
        self._road = road
        self._named: dict[tuple[str, ...], str] = {}
        self._numbers = count()
        self.bound: dict[str, object] = {
            "Decimal": Decimal,
            "MAX_STRING": MAX_STRING,
            "match_id": match_id,
            "references": road.plan.references,
        }

    def shapes(self, key: str) -> str:
        """The shapes of a node."""
        return self._bind(lambda: self._road.shapes(key), "shapes", key)

    def whole(self, node: Node) -> str:
        """The rules on several properties of a node together."""
        return self._bind(lambda: self._road.checks.whole(node), "whole", node.key)

    def check(self, node: Node, found: Property) -> str:
        """The check of a property as closures."""
        return self._bind(lambda: self._road.checks.property(node, found), "check", node.key, found.name)

    def pair(self, node: Node, found: Property) -> str:
        """The check of a property with its `_name`."""
        return self._bind(lambda: self._road.checks.pair(node, found), "pair", node.key, found.name)

    def targets(self, node: Node) -> str:
        """The types that a reference may name."""
        return self._bind(lambda: node.targets, "targets", node.key)

    def codes(self, found: Property) -> str:
        """The codes of a required binding."""
        return self._bind(lambda: found.codes, "codes", found.value_set)

    def full(self, found: Property) -> str:
        """The full check of a primitive."""
        primitive = _primitive(found)
        return self._bind(lambda: primitive.accepts, "full", primitive.name)

    def known(self, found: Property) -> tuple[str, str]:
        """The remembered values of a primitive, and the full check that adds to them."""
        known = self._road.known(_primitive(found))
        name = _primitive(found).name
        return self._bind(lambda: known, "known", name), self._bind(lambda: known.learn, "learn", name)

    def _bind(self, make: Callable[[], object], *key: str) -> str:
        name = self._named.get(key)
        if name is None:
            # Another thread may do the same now: a name is bound before anybody can see it, and never again.
            made, name = make(), f"{key[0]}_{next(self._numbers)}"
            self.bound[name] = made
            name = self._named.setdefault(key, name)
        return name


class Shapes(dict[tuple[str, ...], Check]):
    """The checks of one node by shape. A shape not seen before is compiled, or left to the general check."""

    def __init__(self, node: Node, road: "FastRoad") -> None:
        super().__init__()
        self._node = node
        self._road = road
        self._general = road.checks.any_object(node)
        self._closures = road.closures.any_object(node)
        self._constants = Constants(road)

    def __missing__(self, keys: tuple[str, ...]) -> Check:
        return self._first if len(keys) <= MAX_KEYS and self._road.may_compile() else self._general

    def __call__(self, value: Any, scope: Scope, level: int) -> bool:
        """Check an object of any shape."""
        return self[tuple(value)](value, scope, level)

    def _first(self, value: Any, scope: Scope, level: int) -> bool:
        """Check an object whose shape was not seen before; if it is good, its shape is compiled."""
        if not self._closures(value, scope, level):
            return False
        self[tuple(value)] = self._road.timed(lambda: self._compile(value))
        return True

    def _compile(self, sample: dict[str, Any]) -> Check:
        # Nothing of the sample but names of properties gets into the source, and those are known ones.
        source = shape_source(self._road.plan, self._node, sample, self._constants)
        made: dict[str, Check] = {}
        exec(compile(source, f"<shape of {self._node.key}>", "exec"), self._constants.bound, made)  # noqa: S102
        return made["check"]


class Roots(dict[str, Shapes]):
    """The shapes of resources by type; there is none for what is not a resource type."""

    def __init__(self, road: "FastRoad") -> None:
        super().__init__()
        self._road = road

    def __missing__(self, name: str) -> Shapes:
        if name not in self._road.plan.resource_types:
            raise KeyError(name)
        shapes = self[name] = self._road.shapes(name)
        return shapes


class FastRoad:
    """Says whether a resource is good, and no more. Safe to share between threads."""

    def __init__(self, plan: Plan, budget: Budget | None = None) -> None:
        self.plan = plan
        self.checks = Checks(plan, lambda node: self.shapes(node.key))
        self.closures = Checks(plan)
        self.compiled = 0
        self._shapes: dict[str, Shapes] = {}
        self._known: dict[str, Known] = {}
        self._roots = Roots(self)
        self._budget = budget or Budget()
        self._lock = Lock()

    def good(self, resource: Any, transaction: bool) -> bool:
        """Whether a resource has no structural fault."""
        try:
            shapes = self._roots[resource["resourceType"]]
            return shapes[tuple(resource)](resource, scope_of(resource, transaction), 0)
        except BAD:
            return False

    def shapes(self, key: str) -> Shapes:
        """The shapes of a node seen so far."""
        found = self._shapes.get(key)
        return self._shapes.setdefault(key, Shapes(self.plan.node(key), self)) if found is None else found

    def known(self, primitive: Primitive) -> Known:
        """The remembered values of a primitive type."""
        return self._known.setdefault(primitive.name, Known(primitive.accepts))

    def may_compile(self) -> bool:
        """Whether there is time to compile one more shape."""
        with self._lock:
            return self._budget.left()

    def timed(self, make: Callable[[], T]) -> T:
        """Compile at the budget's expense. When there are too many shapes, all are forgotten first."""
        start = self._budget.clock()
        made = make()
        with self._lock:
            self._budget.spend(self._budget.clock() - start)
            if self.compiled >= MAX_SHAPES:
                self.compiled = 0
                for shapes in list(self._shapes.values()):
                    shapes.clear()
            self.compiled += 1
        return made


def _primitive(found: Property) -> Primitive:
    assert found.primitive
    return found.primitive
