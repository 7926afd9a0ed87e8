"""Generate one Python function for a resource type that walks its paths once and appends the index rows."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice, product
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction import readers as r
from fhir_server.search.extraction.plan import Leaf, Part, Plan, Planner, Walk
from fhir_server.search.extraction.routes import Computed, Field, Item, Test, X
from fhir_server.search.extraction.runtime import FUNCTIONS

Extract = Callable[[dict[str, Any], r.Scope], IndexEntries]

LISTS: Mapping[str, str] = {
    "token": "tokens",
    "string": "strings",
    "date": "dates",
    "number": "numbers",
    "quantity": "quantities",
    "uri": "uris",
    "reference": "references",
    "composite": "composites",
    "special": "positions",
}
"""Kind of parameter to field of `IndexEntries`, in the order of the fields."""

_MAX_PRODUCT = 1_000


def cross(*parts: list[Any]) -> list[tuple[Any, ...]]:
    """Return all combinations of the components of one element; cut off where somebody sends thousands of codings."""
    return list(islice(product(*parts), _MAX_PRODUCT))


@dataclass(frozen=True, slots=True)
class _System:
    """How a `code` gets its system: from a table, else `only`."""

    table: Mapping[str, str] | None
    only: str | None


class Generator:
    """Writes the source of one function and of the collectors of its composites."""

    def __init__(self, plan: Plan, planner: Planner, facts: Definitions, readers: r.Readers) -> None:
        self._plan = plan
        self._planner = planner
        self._facts = facts
        self._readers = readers
        self._lines: list[str] = []
        self._depth = 0
        self._names = 0
        self._collectors: dict[Part, str] = {}
        self.globals: dict[str, Any] = {
            "DATES": readers.dates,
            "REFERENCES": readers.references,
            "read_date": readers.date,
            "read_reference": readers.reference,
            "read_identifier": r.read_identifier,
            "read_identifier_types": r.read_identifier_types,
            "IndexEntries": IndexEntries,
            "cross": cross,
            **FUNCTIONS,
        }

    def function(self) -> Extract:
        """Compile and return the function."""
        source = self.source()
        exec(compile(source, f"<index rows of {self._plan.type}>", "exec"), self.globals)  # noqa: S102  # our own text
        extract: Extract = self.globals["extract"]
        return extract

    def source(self) -> str:
        """Return the Python text, for whoever wants to see it."""
        with self._block("def extract(root, scope):"):
            for name in LISTS.values():
                self._line(f"{name} = []")
            self._walk(self._plan.walk, "root")
            self._line(f"return IndexEntries({', '.join(LISTS.values())}, [])")
        return "\n".join(self._lines)

    # --- text

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self._line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _constant(self, prefix: str, value: object) -> str:
        name = self._name(prefix)
        self.globals[name] = value
        return name

    # --- paths

    def _walk(self, walk: Walk, x: str) -> None:
        key = _group_key
        for (kind, type_, systems), group in groupby(sorted(walk.leaves, key=key), key):
            self._read(kind, type_, systems, list(group), x)
        for parts, codes in walk.composites.items():
            self._composite(parts, codes, x)
        for step, below in walk.steps.items():
            self._step(step, below, x)

    def _step(self, step: Field | Item | Test | Computed, below: Walk, x: str) -> None:
        match step:
            case Field(name=name, many=many):
                at = self._name("x")
                self._line(f"{at} = {x}.get({name!r})")
                with self._block(f"if {at}:" if many else f"if {at} is not None:"):
                    self._array(below, at) if many else self._walk(below, at)
            case Test(python=python):
                with self._block(f"if {python.replace(X, x)}:"):
                    self._walk(below, x)
            case Computed(python=python):
                at = self._name("x")
                self._line(f"{at} = {python.replace(X, x)}")
                with self._block(f"if {at} is not None:"):
                    self._walk(below, at)
            case Item():
                raise AssertionError("an item stands after an array")

    def _array(self, below: Walk, array: str) -> None:
        for step, walk in below.steps.items():
            if isinstance(step, Item):
                with self._block(f"if len({array}) > {step.index} and {array}[{step.index}] is not None:"):
                    at = self._name("x")
                    self._line(f"{at} = {array}[{step.index}]")
                    self._walk(walk, at)
        each = Walk({s: w for s, w in below.steps.items() if not isinstance(s, Item)}, below.leaves, below.composites)
        if each != Walk():
            at = self._name("x")
            # An array of primitives has nulls where an element has nothing but extensions.
            with self._block(f"for {at} in {array}:"), self._block(f"if {at} is not None:"):
                self._walk(each, at)

    # --- leaves

    def _read(self, kind: str, type_: str, systems: str | None, leaves: list[Leaf], x: str) -> None:
        match kind, type_:
            case "token", "CodeableConcept":
                self._concept(leaves, x)
            case "token", "Coding":
                self._coding(leaves, x)
            case "token", "code":
                self._code(systems, leaves, x)
            case "date", "date" | "dateTime" | "instant":
                self._date(leaves, x)
            case "reference", "Reference":
                self._reference(leaves, x)
            case _:
                self._other(kind, type_, leaves, x)

    def _append(self, list_: str, leaves: list[Leaf], values: str, suffix: str = "") -> None:
        rows = [f"({leaf.code + suffix!r}, {values})" for leaf in leaves]
        if len(rows) == 1:
            self._line(f"{list_}.append({rows[0]})")
        else:
            self._line(f"{list_} += ({', '.join(rows)})")

    def _concept(self, leaves: list[Leaf], x: str) -> None:
        codings, coding = self._name("x"), self._name("x")
        self._line(f"{codings} = {x}.get('coding')")
        with self._block(f"if {codings}:"), self._block(f"for {coding} in {codings}:"):
            self._coding(leaves, coding)
        with self._block("else:"):
            self._append("tokens", leaves, "None, ''")

    def _coding(self, leaves: list[Leaf], x: str) -> None:
        self._line(f"s = {x}.get('system')")
        self._line(f"c = {x}.get('code', '')")
        self._append("tokens", leaves, "s, c")

    def _code(self, value_set: str | None, leaves: list[Leaf], x: str) -> None:
        system = self._system(value_set)
        if system.table is None:
            self._append("tokens", leaves, f"{system.only!r}, {x}")
        else:
            table = self._constant("SYSTEMS", system.table)
            self._append("tokens", leaves, f"{table}.get({x}), {x}")

    def _system(self, value_set: str | None) -> _System:
        codes = self._facts.required_codes.get(value_set or "")
        if codes is None:
            return _System(None, self._facts.code_systems.get(value_set or ""))
        systems = set(codes.values())
        return _System(None, systems.pop()) if len(systems) == 1 else _System(codes, None)

    def _date(self, leaves: list[Leaf], x: str) -> None:
        self._line(f"d = DATES[{x}] if {x} in DATES else read_date({x})")
        with self._block("if d:"):
            self._line("low, high = d")
            self._append("dates", leaves, "low, high")

    def _reference(self, leaves: list[Leaf], x: str) -> None:
        self._line(f"t = {x}.get('reference')")
        with self._block("if t:"):
            self._line("v = REFERENCES.get(t)")
            with self._block("if v is None:"):
                self._line("v, k = read_reference(t, scope)")
                with self._block("if k is None:"):
                    self._line(f"k = {x}.get('type')")
            with self._block("else:"):
                self._line("k = v[0]")
            self._line("a, b, u, n = v")
            self._by_target(leaves, lambda chosen: self._append("references", chosen, "a, b, u, n"))
        self._line(f"i = {x}.get('identifier')")
        with self._block("if i:"):
            with self._block("if not t:"):
                self._line(f"k = {x}.get('type')")
            with self._block("for s, c in read_identifier(i, scope):"):
                self._by_target(leaves, lambda chosen: self._append("tokens", chosen, "s, c", ":identifier"))

    def _by_target(self, leaves: list[Leaf], emit: Callable[[list[Leaf]], None]) -> None:
        for target in dict.fromkeys(leaf.target for leaf in leaves):
            chosen = [leaf for leaf in leaves if leaf.target == target]
            if target is None:
                emit(chosen)
            else:
                with self._block(f"if k == {target!r}:"):
                    emit(chosen)

    def _other(self, kind: str, type_: str, leaves: list[Leaf], x: str) -> None:
        read = self._constant("read", self._readers.reader(kind, type_))
        with self._block(f"for v in {read}({x}, scope):"):
            self._append(LISTS[kind], leaves, "*v")
        if (kind, type_) == ("token", "Identifier"):
            with self._block(f"if 'type' in {x}:"), self._block(f"for v in read_identifier_types({x}):"):
                self._append("tokens", leaves, "*v", ":of-type")

    # --- composites

    def _composite(self, parts: tuple[Part, ...], codes: list[str], x: str) -> None:
        names = [self._name("p") for _ in parts]
        # The last component is the value, which is missing more often than the code before it.
        order = [*reversed(range(len(parts)))]
        with self._block(f"if {_present(parts[-1], x)}:"):
            depth = self._depth
            for index in order:
                self._line(f"{names[index]} = {self._collector(parts[index])}({x}, root, scope)")
                self._line(f"if {names[index]}:")
                self._depth += 1
            with self._block(f"for v in cross({', '.join(names)}):"):
                self._append("composites", [Leaf(code, "composite", "") for code in codes], "v")
            self._depth = depth

    def _collector(self, part: Part) -> str:
        """Return the name of the function that gives the values of a component, writing it when it is new."""
        name = self._collectors.get(part)
        if name is None:
            name = self._collectors[part] = self._name("collect")
            source = _Collector(self._plan, self._planner, self._facts, self._readers)
            source.write(name, part)
            source.globals |= {k: v for k, v in self.globals.items() if k not in source.globals}
            exec(compile(source.text, f"<{name} of {self._plan.type}>", "exec"), source.globals)  # noqa: S102
            self.globals[name] = source.globals[name]
        return name


class _Collector(Generator):
    """Writes the function that collects the values of one component of a composite."""

    text = ""

    def write(self, name: str, part: Part) -> None:
        self._kind = part.kind
        with self._block(f"def {name}(x, root, scope):"):
            self._line("out = []")
            for from_root, x in ((False, "x"), (True, "root")):
                routes = tuple(route for route in part.routes if route.from_root is from_root)
                self._walk(self._planner.leaves("", part.kind, routes), x)
            self._line("return out")
        self.text = "\n".join(self._lines)

    def _read(self, kind: str, type_: str, systems: str | None, leaves: list[Leaf], x: str) -> None:
        if (kind, type_) == ("token", "code"):
            system = self._system(systems)
            read = self._constant("read", r.code_reader(system.table or {}, system.only))
        else:
            read = self._constant("read", self._readers.reader(kind, type_))
        with self._block(f"for v in {read}({x}, scope):"):
            self._line(f"out.append(({kind!r}, *v))")


def _present(part: Part, x: str) -> str:
    """Return a cheap test of whether a component can have a value at all."""
    names = [
        f"{route.steps[0].name!r} in {x}"
        for route in part.routes
        if route.steps and isinstance(route.steps[0], Field) and not route.from_root
    ]
    return " or ".join(names) if len(names) == len(part.routes) else "True"


def _group_key(leaf: Leaf) -> tuple[str, str, str]:
    return leaf.kind, leaf.type, leaf.systems or ""
