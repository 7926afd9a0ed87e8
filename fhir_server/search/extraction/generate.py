"""Generate one Python function for a resource type that walks its paths once and appends the index rows."""

from collections.abc import Callable
from itertools import islice, product
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction.elements import Scope, read_identifier, read_identifier_types
from fhir_server.search.extraction.leaves import LISTS, Leaves, Uses
from fhir_server.search.extraction.plan import Others, Plan, Reading, Walk
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.extraction.routes import Computed, Field, Item, Step, Test, X
from fhir_server.search.extraction.runtime import FUNCTIONS
from fhir_server.search.extraction.writer import Writer

Extract = Callable[[dict[str, Any], Scope], IndexEntries]
_MAX_PRODUCT = 1_000


def cross(*parts: list[Any]) -> list[tuple[Any, ...]]:
    """Return all combinations of components; cut off where somebody sends thousands of codings in one element."""
    return list(islice(product(*parts), _MAX_PRODUCT))


def function_of(plan: Plan, facts: Definitions, readers: Readers) -> Extract:
    """Generate and compile the function of a plan."""
    writer = _write(plan, facts, readers)
    writer.compiled(f"<index rows of {plan.type}>")
    extract: Extract = writer.constants["extract"]
    return extract


def source_of(plan: Plan, facts: Definitions, readers: Readers) -> str:
    """Return the text of the function, for whoever wants to see it."""
    return _write(plan, facts, readers).text


def _write(plan: Plan, facts: Definitions, readers: Readers) -> Writer:
    writer = Writer(_constants(readers))
    leaves = Leaves(writer, facts, readers)
    with writer.block("def extract(root, scope):"):
        for name in LISTS.values():
            writer.line(f"{name} = []")
        _Walker(writer, leaves).walk(plan.walk, "root")
        writer.line(f"return IndexEntries({', '.join(LISTS.values())}, [])")
    return writer


def _constants(readers: Readers) -> dict[str, Any]:
    return {
        "DATES": readers.dates,
        "REFERENCES": readers.references,
        "FOLDED": readers.folded,
        "fold": readers.fold,
        "read_date": readers.date,
        "read_reference": readers.reference,
        "read_identifier": read_identifier,
        "read_identifier_types": read_identifier_types,
        "IndexEntries": IndexEntries,
        "cross": cross,
        **FUNCTIONS,
    }


class _Walker:
    """Writes the visit of a tree of paths."""

    def __init__(self, writer: Writer, leaves: Leaves) -> None:
        self._w = writer
        self._leaves = leaves
        self._others: dict[Others, tuple[str, str, str]] = {}

    def walk(self, walk: Walk, x: str) -> None:
        """Write all that happens from the element `x` on."""
        for others in walk.others:
            self._declare(others, x)
        self._read(walk, x)
        for step, below in walk.steps.items():
            self._step(step, below, x)

    def _read(self, walk: Walk, x: str) -> None:
        uses: dict[Reading, Uses] = {}
        for reading in (*walk.rows, *walk.tails):
            tails = walk.tails.get(reading, {})
            for others in tails:
                self._prepare(others)
            joined = tuple((others, self._others[others][0], tuple(codes)) for others, codes in tails.items())
            uses[reading] = Uses(tuple(walk.rows.get(reading, ())), joined)
        self._leaves.write(x, uses)

    # --- composites

    def _declare(self, others: Others, x: str) -> None:
        """Set the variable of the other components of a composite to "not known yet"."""
        variable, function = self._w.assign("None"), self._w.name("others")
        collector = Writer(self._w.constants)
        _write_collector(collector, function, others, self._leaves)
        collector.compiled(f"<{function}>")
        self._others[others] = (variable, function, x)

    def _prepare(self, others: Others) -> None:
        variable, function, x = self._others[others]
        with self._w.block(f"if {variable} is None:"):
            self._w.line(f"{variable} = {function}({x}, root, scope)")

    # --- steps

    def _step(self, step: Step, below: Walk, x: str) -> None:
        match step:
            case Field(name=name, many=many):
                at = self._w.assign(f"{x}.get({name!r})")
                with self._w.block(f"if {at}:" if many else f"if {at} is not None:"):
                    self._array(below, at) if many else self.walk(below, at)
            case Test(python=python):
                with self._w.block(f"if {python.replace(X, x)}:"):
                    self.walk(below, x)
            case Computed(python=python):
                at = self._w.assign(python.replace(X, x))
                with self._w.block(f"if {at} is not None:"):
                    self.walk(below, at)
            case Item():
                raise AssertionError("an item stands after an array")

    def _array(self, below: Walk, array: str) -> None:
        each = Walk({}, below.rows, below.tails, below.others)
        for step, walk in below.steps.items():
            if isinstance(step, Item):
                with self._w.block(f"if len({array}) > {step.index} and {array}[{step.index}] is not None:"):
                    self.walk(walk, self._w.assign(f"{array}[{step.index}]"))
            else:
                each.steps[step] = walk
        if each != Walk():
            at = self._w.name("x")
            # An array of primitives has nulls where an element has nothing but extensions.
            with self._w.block(f"for {at} in {array}:"), self._w.block(f"if {at} is not None:"):
                self.walk(each, at)


def _write_collector(writer: Writer, name: str, others: Others, leaves: Leaves) -> None:
    """Write the function that gives all combinations of the other components of an element."""
    lists = [f"part{number}" for number, _ in enumerate(others.parts)]
    with writer.block(f"def {name}(x, root, scope):"):
        for list_, part in zip(lists, others.parts, strict=True):
            writer.line(f"{list_} = []")
            for from_root, x in ((False, "x"), (True, "root")):
                walk = Walk()
                for route, reading in part.routes:
                    if route.from_root is from_root:
                        walk.at(route.steps).add(reading, list_)
                _Walker(writer, leaves.collecting(writer)).walk(walk, x)
        writer.line(f"return cross({', '.join(lists)})")
