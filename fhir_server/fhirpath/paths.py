"""Compile plain paths for one type, straight onto its JSON.

Search parameters, invariants and subscriptions evaluate a few short paths on very many resources. With the type of
the element known beforehand every step is a look-up of a fixed key, branches about other types vanish, and no node
is made. What is not covered here, or not as the definitions have it, raises `NotPlain` and is left to the general
compiler; a test holds both to the same results on every search parameter, invariant and example of HL7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from fhir_server.fhirpath import ast
from fhir_server.fhirpath.equality import frozen
from fhir_server.fhirpath.functions.keys import reference_key, resource_key
from fhir_server.fhirpath.types import QUANTITIES, SYSTEM_OF_PRIMITIVE, Child, TypeModel

# A value of the input to the list of values that are found below it.
Walk: TypeAlias = Callable[[Any], list[Any]]
Test: TypeAlias = Callable[[Any], "bool | None"]

# Types whose equal values may be written in several ways; sets of them are left to the general compiler.
SPELT_DIFFERENTLY = QUANTITIES | {name for name, of in SYSTEM_OF_PRIMITIVE.items() if of not in ("Boolean", "Integer")}
# The type of what says itself which resource it is.
ANY_RESOURCE = "?"


class NotPlain(Exception):
    """The expression, or the data, need the general compiler."""


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path.

    Attributes:
        walk: from the input to the values.
        types: what the values may be; nothing when the path leads nowhere from this type.
        source: set on a choice: the path to the elements that have it, and
        children: its properties, so that a cast can pick one.
    """

    walk: Walk
    types: tuple[str, ...]
    source: "Path | None" = None
    children: tuple[Child, ...] = ()

    def only_type(self) -> str:
        """The one type that the values have.

        Raises:
            NotPlain: they may have several, or it is not known.
        """
        if len(self.types) != 1 or self.types[0] == ANY_RESOURCE:
            raise NotPlain
        return self.types[0]


EMPTY = Path(lambda value: [], ())


class Paths:
    """Compiles paths on elements of one type; `test_for` compiles the criteria of `where` for a type."""

    def __init__(self, model: TypeModel, type_name: str, test_for: Callable[[str], Callable[[ast.Expr], Test]]) -> None:
        self._model = model
        self._type = type_name
        self._test_for = test_for
        self._root = Path(lambda value: [value], (type_name,))

    def path(self, tree: ast.Expr | None) -> Path:
        """Compile a path.

        Raises:
            NotPlain: it is none, or not one of these.
        """
        match tree:
            case None | ast.Variable(name="$this"):
                return self._root
            case ast.Member():
                return self._member(tree)
            case ast.TypeOperation(operator="as" | "ofType"):
                return self._cast(tree)
            case ast.Index(index=ast.Literal(value=int(place))):
                return _sliced(self.path(tree.source), slice(place, place + 1))
            case ast.Binary(operator="|"):
                return _union(self.path(tree.left), self.path(tree.right))
            case ast.Call():
                return self._call(tree)
        raise NotPlain

    def _call(self, tree: ast.Call) -> Path:
        match tree:
            case ast.Call(name="first", arguments=()):
                return _sliced(self.path(tree.source), slice(0, 1))
            case ast.Call(name="tail", arguments=()):
                return _sliced(self.path(tree.source), slice(1, None))
            case ast.Call(name="trace", arguments=(ast.Literal(value=str()),)):
                return self.path(tree.source)
            case ast.Call(name="where", arguments=(criteria,)):
                return self.filtered(self.path(tree.source), criteria)
            case ast.Call(name="select", arguments=(ast.Member() as projection,)):
                return self._select(self.path(tree.source), projection)
            case ast.Call(name="extension", arguments=(ast.Literal(value=str(url)),)):
                return self._extension(self.path(tree.source), url)
            case ast.Call(name="join", arguments=arguments):
                return self._join(self.path(tree.source), _optional_text(arguments) or "")
            case ast.Call(name="getResourceKey", arguments=()):
                return self._keys(self.path(tree.source), resource_key)
            case ast.Call(name="getReferenceKey", arguments=arguments):
                wanted = _optional_text(arguments)
                return self._keys(self.path(tree.source), lambda value: reference_key(value, wanted, self._model))
        raise NotPlain

    def _member(self, tree: ast.Member) -> Path:
        if tree.source is None and tree.name[:1].isupper():
            return self._root if tree.name in self._model.kinds(self._type) else EMPTY
        source = self.path(tree.source)
        if not source.types:
            return EMPTY
        return self._children(source, self._model.children(source.only_type()).get(tree.name, ()))

    def _children(self, source: Path, children: tuple[Child, ...]) -> Path:
        if self._model.is_primitive(source.only_type()):
            raise NotPlain
        if not children:
            return EMPTY
        types = tuple(child.type or ANY_RESOURCE for child in children)
        if len(children) == 1:
            return Path(self._chained(source, _property(children[0])), types)
        return Path(self._chained(source, _choice(children)), types, source, children)

    def _cast(self, tree: ast.TypeOperation) -> Path:
        source = self.path(tree.operand)
        if tree.type.namespace == "System" or not self._model.known(tree.type.name):
            raise NotPlain
        if not source.types:
            return EMPTY
        if source.source is not None:
            return self._children(source.source, self.fitting(source, tree.type.name))
        return source if self._casts(source.only_type(), tree.type.name) else EMPTY

    def fitting(self, source: Path, wanted: str) -> tuple[Child, ...]:
        """The properties of a choice that a cast to a type picks."""
        return tuple(child for child in source.children if self._casts(str(child.type), wanted))

    def _casts(self, type_name: str, wanted: str) -> bool:
        return type_name == wanted if self._model.is_primitive(wanted) else wanted in self._model.kinds(type_name)

    def _extension(self, source: Path, url: str) -> Path:
        if not source.types:
            return EMPTY
        if self._model.is_primitive(source.only_type()):
            raise NotPlain

        def walk(value: Any) -> list[Any]:
            found = value.get("extension")
            return [part for part in found if part.get("url") == url] if found else []

        return Path(self._chained(source, walk), ("Extension",))

    def _join(self, source: Path, separator: str) -> Path:
        walk = source.walk
        if not all(self._model.is_primitive(name) and name not in SYSTEM_OF_PRIMITIVE for name in source.types):
            raise NotPlain

        def joined(value: Any) -> list[Any]:
            found = walk(value)
            return [separator.join(found)] if found else found

        return Path(joined, ("string",))

    def _keys(self, source: Path, key: Callable[[Any], str | None]) -> Path:
        if not source.types:
            return EMPTY

        def walk(value: Any) -> list[Any]:
            found = key(value)
            return [] if found is None else [found]

        return Path(self._chained(source, walk), ("id",))

    def filtered(self, source: Path, criteria: ast.Expr) -> Path:
        """`where(criteria)`."""
        if not source.types:
            return EMPTY
        test = self._test_for(source.only_type())(criteria)
        walk = source.walk
        return Path(lambda value: [part for part in walk(value) if test(part)], source.types)

    def _select(self, source: Path, projection: ast.Expr) -> Path:
        if not source.types:
            return EMPTY
        inner = Paths(self._model, source.only_type(), self._test_for).path(projection)
        return Path(self._chained(source, inner.walk), inner.types)

    def _chained(self, source: Path, step: Walk) -> Walk:
        """One step after another; the first one needs no loop."""
        if source is self._root:
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


def _optional_text(arguments: tuple[ast.Expr, ...]) -> str | None:
    """The literal string that is the only argument, if any is given."""
    match arguments:
        case ():
            return None
        case (ast.Literal(value=str(text)),):
            return text
    raise NotPlain


# --- steps


def _property(child: Child) -> Walk:
    key = child.key
    if child.primitive:
        return _primitive(key, "_" + key)

    def walk(value: Any) -> list[Any]:
        found = value.get(key)
        if found is None:
            return []
        return _filled(found) if type(found) is list else [found]

    return walk


def _filled(found: list[Any]) -> list[Any]:
    """An array without nulls; with them it is for the general compiler."""
    if None in found:
        raise NotPlain
    return found


def _primitive(key: str, companion: str) -> Walk:
    """A primitive: one without a value but with extensions counts as what it has."""

    def walk(value: Any) -> list[Any]:
        found = value.get(key)
        kind = type(found)
        if found is not None and kind is not list and kind is not dict:
            return [found]
        extra = value.get(companion)
        if found is None:
            if extra is None:
                return []
            if type(extra) is dict:
                return [extra]
        if extra is not None or kind is dict or dict in map(type, found) or None in found:
            raise NotPlain
        return found  # type: ignore[no-any-return]

    return walk


def _choice(children: tuple[Child, ...]) -> Walk:
    walks = [_property(child) for child in children]

    def walk(value: Any) -> list[Any]:
        for step in walks:
            if found := step(value):
                return found
        return []

    return walk


def _sliced(source: Path, part: slice) -> Path:
    walk = source.walk
    return Path(lambda value: walk(value)[part], source.types)


def _union(left: Path, right: Path) -> Path:
    types = tuple(dict.fromkeys(left.types + right.types))
    distinct = _distinct if SPELT_DIFFERENTLY.isdisjoint(types) else _at_most_one
    if not right.types or not left.types:
        only = (left if left.types else right).walk
        return Path(lambda value: distinct(only(value)), types)
    a, b = left.walk, right.walk
    return Path(lambda value: distinct(a(value) + b(value)), types)


def _at_most_one(found: list[Any]) -> list[Any]:
    if len(found) > 1:
        raise NotPlain
    return found


def _distinct(found: list[Any]) -> list[Any]:
    if len(found) < 2:
        return found
    first: dict[Any, Any] = {}
    for part in found:
        first.setdefault(frozen(part), part)
    return list(first.values())
