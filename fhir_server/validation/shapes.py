"""The fast road: good or bad, by checks generated for each shape of object that comes by.

A shape costs about half a millisecond to compile and saves some microseconds each time, so the number and the rate of
compilations are bounded; objects beyond that go through `Checks.any_object`. See docs/adr/0006-validation.md.
"""

import re
import time
from collections.abc import Callable
from decimal import Decimal
from threading import Lock
from typing import Any

from fhir_server.validation.checks import BAD, Check, Checks
from fhir_server.validation.plan import Node, Plan, Property, shape_fault
from fhir_server.validation.primitives import MAX_STRING, Primitive, match_id
from fhir_server.validation.references import Scope
from fhir_server.validation.source import shape_source

MAX_SHAPES = 4000
MAX_KEYS = 64
SHAPES_PER_SECOND = 50.0
BURST = 1000.0

_REMEMBERED = 4096
_LONGEST_REMEMBERED = 64


class Budget:
    """How many shapes may be compiled now: a bucket that fills with time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = BURST
        self._then = clock()

    def take(self) -> bool:
        """Take one compilation, if there is one."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._then) * SHAPES_PER_SECOND)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Known(dict[object, bool]):
    """Values of a primitive type that were good, a bounded number; others are looked at."""

    def __init__(self, accepts: Callable[[object], bool]) -> None:
        super().__init__()
        self._accepts = accepts

    def __missing__(self, value: object) -> bool:
        if not self._accepts(value):
            return False
        if len(value) <= _LONGEST_REMEMBERED:  # type: ignore[arg-type]
            if len(self) >= _REMEMBERED:
                self.clear()
            self[value] = True
        return True


class Constants:
    """What the generated code of one node refers to, by the names that it uses."""

    def __init__(self, node: Node, road: "FastRoad") -> None:
        self._node = node
        self._road = road
        self.bound: dict[str, object] = {
            "Decimal": Decimal,
            "MAX_STRING": MAX_STRING,
            "match_id": match_id,
            "references": road.plan.references,
            "targets": node.targets,
            "whole": road.checks.whole(node),
        }

    def shapes(self, key: str) -> str:
        """The shapes of another node."""
        return self._bind("shapes", key, lambda: self._road.shapes(self._road.plan.node(key)))

    def check(self, found: Property) -> str:
        """The check of a property as closures."""
        return self._bind("check", found.name, lambda: self._road.checks.property(self._node, found))

    def pair(self, found: Property) -> str:
        """The check of a property with its `_name`."""
        return self._bind("pair", found.name, lambda: self._road.checks.pair(self._node, found))

    def full(self, found: Property) -> str:
        """The full check of a primitive."""
        primitive = found.primitive
        assert primitive
        return self._bind("full", primitive.name, lambda: primitive.accepts)

    def codes(self, found: Property) -> str:
        """The codes of a required binding."""
        return self._bind("codes", found.value_set, lambda: found.codes)

    def known(self, found: Property) -> str:
        """The remembered values of a primitive."""
        primitive = found.primitive
        assert primitive
        return self._bind("known", primitive.name, lambda: self._road.known(primitive))

    def _bind(self, kind: str, key: str, make: Callable[[], object]) -> str:
        name = f"{kind}_{_not_in_names.sub('_', key)}"
        if name not in self.bound:
            self.bound[name] = make()
        return name


class Shapes(dict[tuple[str, ...], Check]):
    """The checks of one node by shape; a shape not seen before is compiled, or left to the general check."""

    def __init__(self, node: Node, road: "FastRoad") -> None:
        super().__init__()
        self._node = node
        self._road = road
        self._general = road.checks.any_object(node)
        self._constants = Constants(node, road)

    def __missing__(self, keys: tuple[str, ...]) -> Check:
        if len(keys) > MAX_KEYS or shape_fault(self._node, keys) or not self._road.may_compile():
            return self._general
        check = self[keys] = self._compile(keys)
        return check

    def __call__(self, value: Any, scope: Scope, level: int) -> bool:
        """Check an object of any shape."""
        return self[tuple(value)](value, scope, level)

    def _compile(self, keys: tuple[str, ...]) -> Check:
        # Nothing of the resource is written into the source: names of properties are known ones, and only looked up.
        source = shape_source(self._node, keys, self._constants)
        made: dict[str, Check] = {}
        exec(compile(source, f"<shape of {self._node.key}>", "exec"), self._constants.bound, made)  # noqa: S102
        return made["check"]


class FastRoad:
    """Says whether a resource is good, and no more. Safe to share between threads."""

    def __init__(self, plan: Plan, budget: Budget | None = None) -> None:
        self.plan = plan
        self.checks = Checks(plan, self.shapes)
        self._shapes: dict[str, Shapes] = {}
        self._known: dict[str, Known] = {}
        self._budget = budget or Budget()
        self._compiled = 0
        self._lock = Lock()

    def good(self, resource: object, transaction: bool) -> bool:
        """Whether a resource has no structural fault."""
        try:
            return self.checks.root(resource, transaction)
        except BAD:
            return False

    def shapes(self, node: Node) -> Shapes:
        """The shapes of a node seen so far."""
        return self._shapes.get(node.key) or self._shapes.setdefault(node.key, Shapes(node, self))

    def known(self, primitive: Primitive) -> Known:
        """The remembered values of a primitive type."""
        return self._known.setdefault(primitive.name, Known(primitive.accepts))

    def may_compile(self) -> bool:
        """Take leave to compile one more shape; when there are too many, all are forgotten."""
        with self._lock:
            if not self._budget.take():
                return False
            if self._compiled >= MAX_SHAPES:
                self._compiled = 0
                for shapes in list(self._shapes.values()):
                    shapes.clear()
            self._compiled += 1
            return True


_not_in_names = re.compile(r"\W")
