"""Compile plain conditions for one type, straight onto its JSON: what `where`, search and invariants ask.

A condition is a function from the JSON of an element to True, False or None (unknown, the empty collection).
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fhir_server.fhirpath import ast
from fhir_server.fhirpath.constants import URLS
from fhir_server.fhirpath.functions.patterns import compiled_pattern
from fhir_server.fhirpath.logic import LOGICAL, as_collection, is_distinct, negated, truth_of
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.operators import order_values
from fhir_server.fhirpath.paths import ANY_RESOURCE, SPELT_DIFFERENTLY, NotPlain, Path, Paths, Test, Walk
from fhir_server.fhirpath.types import SYSTEM_OF_PRIMITIVE, TypeModel
from fhir_server.fhirpath.values import system

_Number: TypeAlias = Callable[[Any], int]
_Match: TypeAlias = Callable[[str], bool]

# What takes longer is done again by the general compiler, which adds up the time of a whole evaluation.
_PATTERN_SECONDS = 0.01
_LITERALS = {str: "String", bool: "Boolean", int: "Integer"}
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_COMPARISONS = {**_ORDERS, "=": operator.eq, "!=": operator.ne}
_ORDERED_TYPES = SPELT_DIFFERENTLY | {"integer", "positiveInt", "unsignedInt"}
_LOGIC = frozenset({"and", "or", "xor", "implies"})
_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


def compile_for(tree: ast.Expr, model: TypeModel, type_name: str) -> Walk | None:
    """A function from the JSON of an element of this type to plain values; None when the expression is not plain.

    The function raises NotPlain, AttributeError, TypeError or RecursionError on data that it does not cover.
    """
    conditions = Conditions(model, type_name)
    try:
        return conditions.paths.path(tree).walk
    except NotPlain:
        pass
    try:
        return as_collection(conditions.test(tree))
    except NotPlain:
        return None


def guarded(plain: Walk, general: Walk) -> Walk:
    """The plain function, with the general one for what is not as the definitions have it."""

    def walk(value: Any) -> list[Any]:
        try:
            return plain(value)
        except (NotPlain, AttributeError, TypeError, RecursionError, TimeoutError):
            return general(value)

    return walk


class Conditions:
    """Compiles conditions on elements of one type."""

    def __init__(self, model: TypeModel, type_name: str) -> None:
        self._model = model
        self._type = type_name
        self.paths = Paths(model, type_name, lambda name: Conditions(model, name).test)

    def test(self, tree: ast.Expr) -> Test:
        """Compile a condition.

        Raises:
            NotPlain: it is not one of these.
        """
        match tree:
            case ast.Binary() if tree.operator in _LOGIC:
                return LOGICAL[tree.operator](self.test(tree.left), self.test(tree.right))
            case ast.Binary():
                return self._binary(tree)
            case ast.Call():
                return self._call(tree)
            case ast.TypeOperation(operator="is"):
                return self._is(tree)
            case ast.Member() | ast.Variable(name="$this"):
                return truth_of(self.paths.path(tree))
        raise NotPlain

    # --- operators

    def _binary(self, tree: ast.Binary) -> Test:
        for compiler in (self._counted, self._compared, self._ordered, self._listed, self._agreeing):
            try:
                return compiler(tree)
            except NotPlain:
                continue
        raise NotPlain

    def _compared(self, tree: ast.Binary) -> Test:
        """`path = literal` for primitives of the literal's type (or, for booleans, of any)."""
        if tree.operator not in ("=", "!="):
            raise NotPlain
        literal, equal = _literal(tree.right), tree.operator == "="
        source = self.paths.path(tree.left)
        system_types = {SYSTEM_OF_PRIMITIVE.get(name, "String") for name in source.types}
        fits = system_types <= {_LITERALS[type(literal)]} or isinstance(literal, bool)
        if not fits or not all(self._model.is_primitive(name) for name in source.types):
            raise NotPlain
        walk = source.walk

        def test(value: Any) -> bool | None:
            found = walk(value)
            if not found or isinstance(found[0], dict):
                return None
            return (len(found) == 1 and found[0] == literal and type(found[0]) is type(literal)) is equal

        return test

    def _ordered(self, tree: ast.Binary) -> Test:
        """`path < path` and `path < number` for numbers, dates and quantities."""
        if tree.operator not in _ORDERS:
            raise NotPlain
        left, right, holds = self._operand(tree.left), self._operand(tree.right), _ORDERS[tree.operator]

        def test(value: Any) -> bool | None:
            a, b = left(value), right(value)
            if a is None or b is None:
                return None
            order = order_values(a, b)
            if order is NotImplemented:
                raise NotPlain
            return None if order is None else holds(order, 0)

        return test

    def _operand(self, tree: ast.Expr) -> Callable[[Any], Any]:
        """The System value of a path with at most one item, or a number."""
        if isinstance(tree, ast.Literal) and isinstance(tree.value, int):
            number = tree.value
            return lambda value: number
        path = self.paths.path(tree)
        walk, name = path.walk, path.only_type()
        if name not in _ORDERED_TYPES:
            raise NotPlain

        def operand(value: Any) -> Any:
            found = walk(value)
            if not found:
                return None
            if len(found) > 1 or (isinstance(found[0], dict) and self._model.is_primitive(name)):
                raise NotPlain
            return system(Node(found[0], name))

        return operand

    def _counted(self, tree: ast.Binary) -> Test:
        """`path.count() > 1`, sums of counts too."""
        if tree.operator not in _COMPARISONS:
            raise NotPlain
        left, right, holds = self._number(tree.left), self._number(tree.right), _COMPARISONS[tree.operator]
        return lambda value: holds(left(value), right(value))

    def _number(self, tree: ast.Expr) -> _Number:
        match tree:
            case ast.Literal(value=int() as number) if not isinstance(number, bool):
                return lambda value: number
            case ast.Call(name="count", arguments=()):
                walk = self.paths.path(tree.source).walk
                return lambda value: len(walk(value))
            case ast.Binary(operator="+"):
                left, right = self._number(tree.left), self._number(tree.right)
                return lambda value: left(value) + right(value)
        raise NotPlain

    def _listed(self, tree: ast.Binary) -> Test:
        """`path in ('a' | 'b')` for strings."""
        if tree.operator != "in":
            raise NotPlain
        source, listed = self.paths.path(tree.left), frozenset(_texts(tree.right))
        if any(SYSTEM_OF_PRIMITIVE.get(name, "String") != "String" for name in source.types):
            raise NotPlain
        walk = source.walk

        def test(value: Any) -> bool | None:
            found = walk(value)
            if not found:
                return None
            if len(found) > 1 or not isinstance(found[0], str):
                raise NotPlain
            return found[0] in listed

        return test

    def _agreeing(self, tree: ast.Binary) -> Test:
        """`a.exists() = b.exists()`."""
        if tree.operator not in ("=", "!=") or not all(_is_condition(side) for side in (tree.left, tree.right)):
            raise NotPlain
        left, right, equal = self.test(tree.left), self.test(tree.right), tree.operator == "="

        def test(value: Any) -> bool | None:
            a, b = left(value), right(value)
            return None if a is None or b is None else (a is b) is equal

        return test

    # --- functions

    def _call(self, tree: ast.Call) -> Test:
        match tree:
            case ast.Call(name="exists" | "empty", arguments=arguments):
                return self._exists(tree, arguments)
            case ast.Call(name="not", arguments=(), source=source) if source is not None:
                return negated(self.test(source))
            case ast.Call(name="all", arguments=(criteria,)):
                return self._all(tree, criteria)
            case ast.Call(name="hasValue", arguments=()):
                return self._has_value(self.paths.path(tree.source))
            case ast.Call(name="isDistinct", arguments=()):
                return is_distinct(self.paths.path(tree.source))
            case ast.Call(name="matches", arguments=(ast.Literal(value=str(pattern)),)):
                return self._on_text(self.paths.path(tree.source), _matcher(pattern))
            case ast.Call(arguments=(ast.Literal(value=str(part)),)) if tree.name in _TEXT:
                holds = _TEXT[tree.name]
                return self._on_text(self.paths.path(tree.source), lambda text: holds(text, part))
        raise NotPlain

    def _exists(self, tree: ast.Call, arguments: tuple[ast.Expr, ...]) -> Test:
        source = self.paths.path(tree.source)
        for criteria in arguments:
            source = self.paths.filtered(source, criteria)
        walk, wanted = source.walk, tree.name == "exists"
        return lambda value: bool(walk(value)) is wanted

    def _all(self, tree: ast.Call, criteria: ast.Expr) -> Test:
        source = self.paths.path(tree.source)
        if not source.types:
            return lambda value: True
        walk, test = source.walk, Conditions(self._model, source.only_type()).test(criteria)
        return lambda value: all(test(part) is True for part in walk(value))

    def _has_value(self, source: Path) -> Test:
        if not all(self._model.is_primitive(name) for name in source.types):
            raise NotPlain
        walk = source.walk

        def test(value: Any) -> bool:
            found = walk(value)
            return len(found) == 1 and not isinstance(found[0], dict)

        return test

    def _on_text(self, source: Path, holds: _Match) -> Test:
        """A question to one string."""
        name = source.only_type()
        if not self._model.is_primitive(name) or name in SYSTEM_OF_PRIMITIVE:
            raise NotPlain
        walk = source.walk

        def test(value: Any) -> bool | None:
            found = walk(value)
            if not found:
                return None
            if len(found) > 1 or not isinstance(found[0], str):
                raise NotPlain
            return holds(found[0])

        return test

    # --- types

    def _is(self, tree: ast.TypeOperation) -> Test:
        if isinstance(tree.operand, ast.Call) and tree.operand.name == "resolve" and tree.operand.source is None:
            return self._refers_to(tree.type)
        source = self.paths.path(tree.operand)
        if tree.type.namespace == "System" or not self._model.known(tree.type.name):
            raise NotPlain
        walk, fits = source.walk, self._fits(source, tree.type.name)

        def test(value: Any) -> bool | None:
            found = walk(value)
            if len(found) > 1:
                raise NotPlain
            return fits(value, found[0]) if found else None

        return test

    def _fits(self, source: Path, wanted: str) -> Callable[[Any, Any], bool]:
        """Whether what is found at a path is of a type: known beforehand, or seen by the property of a choice."""
        kinds = self._model.kinds
        if source.types == (ANY_RESOURCE,):
            return lambda value, found: wanted in kinds(found.get("resourceType"))
        if source.source is None:
            answer = wanted in kinds(source.only_type())
            return lambda value, found: answer
        before = source.source.walk
        keys = [key for c in source.children if wanted in kinds(str(c.type)) for key in (c.key, "_" + c.key)]
        return lambda value, found: any(key in part for part in before(value) for key in keys)

    def _refers_to(self, wanted: ast.TypeName) -> Test:
        """`resolve() is Patient` by the reference's own words; contained resources are for the general compiler."""
        if self._type != "Reference" or not self._model.is_resource(wanted.name):
            raise NotPlain
        model, name = self._model, wanted.name

        def test(value: Any) -> bool | None:
            reference, said = value.get("reference"), value.get("type")
            if reference is not None and reference.startswith("#"):
                raise NotPlain
            if said is not None and model.known(said):
                return name in model.kinds(said)
            steps = (reference or "").partition("/_history/")[0].split("/")
            if len(steps) < 2 or not model.is_resource(steps[-2]):
                return None
            return name in model.kinds(steps[-2])

        return test


def _literal(tree: ast.Expr) -> str | bool | int:
    match tree:
        case ast.Literal(value=str() | bool() | int() as literal):
            return literal
        case ast.Constant(name=name) if name in URLS:
            return URLS[name]
    raise NotPlain


def _texts(tree: ast.Expr) -> list[str]:
    """The strings of a union of literals."""
    match tree:
        case ast.Literal(value=str(text)):
            return [text]
        case ast.Binary(operator="|"):
            return _texts(tree.left) + _texts(tree.right)
    raise NotPlain


def _is_condition(tree: ast.Expr) -> bool:
    """Whether an expression can be nothing but a boolean."""
    if isinstance(tree, ast.Call):
        return tree.name in ("exists", "empty", "not", "all", "hasValue")
    return isinstance(tree, ast.Binary) and (tree.operator in _LOGIC or tree.operator in _COMPARISONS)


def _matcher(pattern: str) -> _Match:
    compiled = compiled_pattern(pattern)
    return lambda text: compiled.search(text, timeout=_PATTERN_SECONDS) is not None
