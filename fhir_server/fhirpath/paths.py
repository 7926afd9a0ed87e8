"""Compile the plain expressions (paths, casts, simple filters) for one type, straight onto its JSON.

Search parameters, invariants and subscriptions evaluate a few short paths on very many resources. With the type of
the resource known beforehand every step is a look-up of a fixed key, branches about other types vanish, and no node
is made. What is not covered here answers None and is left to the general compiler; a test holds both to the same
results on every search parameter and every example of HL7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from fhir_server.fhirpath import ast
from fhir_server.fhirpath.equality import frozen
from fhir_server.fhirpath.types import QUANTITIES, SYSTEM_OF_PRIMITIVE, Child, TypeModel

# A value of the input to the list of values that are found below it.
Walk: TypeAlias = Callable[[Any], list[Any]]
Test: TypeAlias = Callable[[Any], "bool | None"]

# Types whose equal values may be written in several ways; sets of them are left to the general compiler.
_SPELT_DIFFERENTLY = QUANTITIES | {name for name, of in SYSTEM_OF_PRIMITIVE.items() if of not in ("Boolean", "Integer")}
_LITERALS = {str: "String", bool: "Boolean", int: "Integer"}


class _NotPlain(Exception):
    """The expression needs the general compiler."""


@dataclass(frozen=True, slots=True)
class _Path:
    """A compiled path.

    Attributes:
        walk: from the input to the values.
        types: what the values may be; nothing when the path leads nowhere from this type.
        source: set on a choice: the path to the elements that have it, and
        children: its properties, so that a cast can pick one.
    """

    walk: Walk
    types: tuple[str, ...]
    source: "_Path | None" = None
    children: tuple[Child, ...] = ()


def compile_for(tree: ast.Expr, model: TypeModel, type_name: str) -> Walk | None:
    """A function from the JSON of an element of this type to plain values; None when the expression is not plain."""
    try:
        return _Compiler(model, type_name).values(tree)
    except _NotPlain:
        return None


def guarded(plain: Walk, general: Walk) -> Walk:
    """The plain function, with the general one for what is not as the definitions have it."""

    def walk(value: Any) -> list[Any]:
        try:
            return plain(value)
        except (_NotPlain, AttributeError, TypeError):
            return general(value)

    return walk


def _nothing(value: Any) -> list[Any]:
    return []


_EMPTY = _Path(_nothing, ())


class _Compiler:
    """Compiles expressions on elements of one type."""

    def __init__(self, model: TypeModel, type_name: str) -> None:
        self._model = model
        self._type = type_name
        self._root = _Path(lambda value: [value], (type_name,))

    def values(self, tree: ast.Expr) -> Walk:
        if isinstance(tree, ast.Binary) and tree.operator != "|":
            return _as_collection(self.test(tree))
        if isinstance(tree, ast.Call) and tree.name in _TESTS:
            return _as_collection(self.test(tree))
        return self.path(tree).walk

    # --- paths

    def path(self, tree: ast.Expr | None) -> _Path:
        match tree:
            case None | ast.Variable(name="$this"):
                return self._root
            case ast.Member():
                return self._member(tree)
            case ast.TypeOperation(operator="as" | "ofType"):
                return self._cast(tree)
            case ast.Index(index=ast.Literal(value=int(place))):
                return _sliced(self.path(tree.source), place, place + 1)
            case ast.Call(name="first", arguments=()):
                return _sliced(self.path(tree.source), 0, 1)
            case ast.Call(name="where", arguments=(criteria,)):
                return self._where(self.path(tree.source), criteria)
            case ast.Call(name="extension", arguments=(ast.Literal(value=str(url)),)):
                return self._extension(self.path(tree.source), url)
            case ast.Binary(operator="|"):
                return _union(self.path(tree.left), self.path(tree.right))
        raise _NotPlain

    def _member(self, tree: ast.Member) -> _Path:
        if tree.source is None and tree.name[:1].isupper():
            return self._root if tree.name in self._model.kinds(self._type) else _EMPTY
        source = self.path(tree.source)
        if not source.types:
            return _EMPTY
        if len(source.types) > 1:
            raise _NotPlain
        return self._children(source, self._model.children(source.types[0]).get(tree.name, ()))

    def _children(self, source: _Path, children: tuple[Child, ...]) -> _Path:
        if self._model.is_primitive(source.types[0]) or any(child.type is None for child in children):
            raise _NotPlain
        if not children:
            return _EMPTY
        types = tuple(str(child.type) for child in children)
        if len(children) == 1:
            return _Path(_chained(source, self._root, _property(children[0])), types)
        return _Path(_chained(source, self._root, _choice(children)), types, source, children)

    def _cast(self, tree: ast.TypeOperation) -> _Path:
        source = self.path(tree.operand)
        if tree.type.namespace == "System" or not self._model.known(tree.type.name):
            raise _NotPlain
        fitting = tuple(child for child in source.children if self._fits(str(child.type), tree.type.name))
        if source.children and source.source is not None:
            return self._children(source.source, fitting)
        if len(source.types) > 1:
            raise _NotPlain
        return source if source.types and self._fits(source.types[0], tree.type.name) else _EMPTY

    def _fits(self, type_name: str, wanted: str) -> bool:
        if self._model.is_primitive(wanted):
            return type_name == wanted
        return wanted in self._model.kinds(type_name)

    def _extension(self, source: _Path, url: str) -> _Path:
        if not source.types:
            return _EMPTY
        if len(source.types) > 1 or self._model.is_primitive(source.types[0]):
            raise _NotPlain

        def walk(value: Any) -> list[Any]:
            found = value.get("extension")
            return [part for part in found if part.get("url") == url] if found else []

        return _Path(_chained(source, self._root, walk), ("Extension",))

    def _where(self, source: _Path, criteria: ast.Expr) -> _Path:
        if not source.types:
            return _EMPTY
        if len(source.types) > 1:
            raise _NotPlain
        test = _Compiler(self._model, source.types[0]).test(criteria)
        walk = source.walk
        return _Path(lambda value: [part for part in walk(value) if test(part)], source.types)

    # --- conditions

    def test(self, tree: ast.Expr) -> Test:
        match tree:
            case ast.Binary(operator="and" | "or"):
                return _both(tree.operator, self.test(tree.left), self.test(tree.right))
            case ast.Binary(operator="=" | "!=", right=ast.Literal(value=str() | bool() | int() as literal)):
                return self._compared(self.path(tree.left), literal, equal=tree.operator == "=")
            case ast.Call(name="exists" | "empty", arguments=arguments):
                return self._exists(tree, arguments)
            case ast.Call(name="not", arguments=(), source=source) if source is not None:
                return _negated(self.test(source))
            case ast.TypeOperation(operator="is", operand=ast.Call(name="resolve", source=None), type=wanted):
                return self._refers_to(wanted)
        raise _NotPlain

    def _exists(self, tree: ast.Call, arguments: tuple[ast.Expr, ...]) -> Test:
        source = self.path(tree.source)
        for criteria in arguments:
            source = self._where(source, criteria)
        walk, wanted = source.walk, tree.name == "exists"
        return lambda value: bool(walk(value)) is wanted

    def _compared(self, source: _Path, literal: str | bool | int, *, equal: bool) -> Test:
        """`path = literal` for primitives of the literal's type (or, for booleans, of any)."""
        system = {SYSTEM_OF_PRIMITIVE.get(name, "String") for name in source.types}
        comparable = system == {_LITERALS[type(literal)]} or isinstance(literal, bool)
        if not comparable or not all(self._model.is_primitive(name) for name in source.types):
            raise _NotPlain
        walk = source.walk

        def test(value: Any) -> bool | None:
            found = walk(value)
            if not found or isinstance(found[0], dict):
                return None
            return (len(found) == 1 and found[0] == literal and type(found[0]) is type(literal)) is equal

        return test

    def _refers_to(self, wanted: ast.TypeName) -> Test:
        """`resolve() is Patient` by the reference's own words; contained resources are for the general compiler."""
        if self._type != "Reference" or not self._model.is_resource(wanted.name):
            raise _NotPlain
        model, name = self._model, wanted.name

        def test(value: Any) -> bool | None:
            reference, said = value.get("reference"), value.get("type")
            if reference is not None and reference.startswith("#"):
                raise _NotPlain
            if said is not None and model.known(said):
                return name in model.kinds(said)
            steps = (reference or "").partition("/_history/")[0].split("/")
            if len(steps) < 2 or not model.is_resource(steps[-2]):
                return None
            return name in model.kinds(steps[-2])

        return test


_TESTS = frozenset({"exists", "empty", "not"})


# --- steps


def _property(child: Child) -> Walk:
    key, companion = child.key, "_" + child.key
    if child.primitive:
        return _primitive(key, companion)

    def walk(value: Any) -> list[Any]:
        found = value.get(key)
        if found is None:
            return []
        return found if type(found) is list else [found]

    return walk


def _primitive(key: str, companion: str) -> Walk:
    """A primitive: one without a value but with extensions counts as what it has."""

    def walk(value: Any) -> list[Any]:
        found = value.get(key)
        if found is not None and type(found) is not list:
            return [found]
        extra = value.get(companion)
        if extra is None:
            return found or []
        if found is None and type(extra) is not list:
            return [extra]
        raise _NotPlain

    return walk


def _choice(children: tuple[Child, ...]) -> Walk:
    walks = [_property(child) for child in children]

    def walk(value: Any) -> list[Any]:
        for step in walks:
            if found := step(value):
                return found
        return []

    return walk


def _chained(source: _Path, root: _Path, step: Walk) -> Walk:
    """One step after another; the first one needs no loop."""
    if source is root:
        return step
    before = source.walk

    def walk(value: Any) -> list[Any]:
        found = before(value)
        if not found:
            return found
        if len(found) == 1:
            return step(found[0])
        return [part for item in found for part in step(item)]

    return walk


def _sliced(source: _Path, first: int, end: int) -> _Path:
    walk = source.walk
    return _Path(lambda value: walk(value)[first:end], source.types)


def _union(left: _Path, right: _Path) -> _Path:
    types = tuple(dict.fromkeys(left.types + right.types))
    distinct = _distinct if _SPELT_DIFFERENTLY.isdisjoint(types) else _at_most_one
    if not right.types or not left.types:
        only = (left if left.types else right).walk
        return _Path(lambda value: distinct(only(value)), types)
    a, b = left.walk, right.walk
    return _Path(lambda value: distinct(a(value) + b(value)), types)


def _at_most_one(found: list[Any]) -> list[Any]:
    if len(found) > 1:
        raise _NotPlain
    return found


def _distinct(found: list[Any]) -> list[Any]:
    if len(found) < 2:
        return found
    first: dict[Any, Any] = {}
    for part in found:
        first.setdefault(frozen(part), part)
    return list(first.values())


# --- conditions


def _as_collection(test: Test) -> Walk:
    def walk(value: Any) -> list[Any]:
        found = test(value)
        return [] if found is None else [found]

    return walk


def _negated(test: Test) -> Test:
    def negate(value: Any) -> bool | None:
        found = test(value)
        return None if found is None else not found

    return negate


def _both(operator: str, left: Test, right: Test) -> Test:
    decisive = operator == "or"

    def test(value: Any) -> bool | None:
        first = left(value)
        if first is decisive:
            return decisive
        second = right(value)
        if second is decisive:
            return decisive
        return None if first is None or second is None else not decisive

    return test
