"""Check an expression against the types of FHIR before it is run: names that cannot be there, orders that are none.

The check never guesses: where the type is not known (`resolve()`, `children()`, contained resources) all is allowed.

Spec: https://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fhir_server.fhirpath import ast
from fhir_server.fhirpath.errors import FhirPathError, Position
from fhir_server.fhirpath.types import TypeModel, system_type

_ABSTRACT = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_QUANTITY_MEMBERS = frozenset({"value", "unit", "code"})
_SAME = frozenset(
    {"where", "single", "trace", "distinct", "exclude", "intersect", "defineVariable", "checkModifiers", "sort"}
)
_ORDERED = frozenset({"first", "last", "tail", "skip", "take"})
_JOINED = frozenset({"union", "combine"})
_ON_ITEMS = frozenset(
    {
        "where",
        "select",
        "all",
        "exists",
        "repeat",
        "repeatAll",
        "aggregate",
        "sort",
        "trace",
        "defineVariable",
    }
)
_BOOLEAN = frozenset(
    {"empty", "exists", "all", "allTrue", "anyTrue", "allFalse", "anyFalse", "not", "subsetOf", "supersetOf",
     "isDistinct", "hasValue", "matches", "matchesFull", "startsWith", "endsWith", "memberOf", "conformsTo"}
)  # fmt: skip
_TEXT = frozenset(
    {"startsWith", "endsWith", "contains", "matches", "matchesFull", "substring", "indexOf", "lastIndexOf", "upper",
     "lower", "replace", "replaceMatches", "length", "toChars", "split", "trim", "encode", "decode", "escape",
     "unescape"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collection may hold.

    Attributes:
        types: FHIR types, and System types as `System.String`; None when anything may come.
        ordered: whether the items have an order.
    """

    types: frozenset[str] | None = None
    ordered: bool = True

    def joined(self, other: "Shape") -> "Shape":
        """What two collections together may hold."""
        known = None if self.types is None or other.types is None else self.types | other.types
        return Shape(known, self.ordered and other.ordered)


UNKNOWN = Shape()
BOOLEAN = Shape(frozenset({"System.Boolean"}))
INTEGER = Shape(frozenset({"System.Integer"}))
STRING = Shape(frozenset({"System.String"}))


class _WrongType(FhirPathError):
    """A path that starts with a type which the input does not have; harmless as one branch of a union."""


def check(tree: ast.Expr, expression: str, model: TypeModel, root: str) -> frozenset[str] | None:
    """Refuse an expression that cannot mean anything on a resource or element of the type `root`.

    Returns the types that its results may have, System types as `System.String`; None when that is not known.

    Raises:
        FhirPathError: with the position of the name that cannot be there.
    """
    shape = Shape(frozenset({root}))
    resource = shape if model.is_resource(root) else UNKNOWN
    return _Checker(expression, model, resource).shape(tree, shape).types


class _Checker:
    """Infers shapes from the leaves up; `resource` is the shape of `%resource`."""

    def __init__(self, expression: str, model: TypeModel, resource: Shape) -> None:
        self._expression = expression
        self._model = model
        self._resource = resource
        self._calls: Mapping[str, Callable[[ast.Call, Shape, Shape], Shape]] = {
            "select": self._select,
            "repeat": self._repeat,
            "iif": self._iif,
            "extension": lambda call, focus, this: Shape(frozenset({"Extension"})),
            "children": lambda call, focus, this: Shape(None, ordered=False),
            "descendants": lambda call, focus, this: Shape(None, ordered=False),
            "count": lambda call, focus, this: INTEGER,
            "join": lambda call, focus, this: STRING,
            "getResourceKey": lambda call, focus, this: STRING,
            "getReferenceKey": lambda call, focus, this: STRING,
        }

    def shape(self, tree: ast.Expr, this: Shape) -> Shape:
        match tree:
            case ast.Literal(value=value):
                return UNKNOWN if value is None else Shape(frozenset({f"System.{system_type(value)}"}))
            case ast.Variable(name=name):
                return {"$this": this, "$index": INTEGER}.get(name, UNKNOWN)
            case ast.Constant(name=name):
                return self._resource if name == "resource" else UNKNOWN
            case ast.Member():
                return self._member(tree, this)
            case ast.Index():
                self.shape(tree.index, this)
                return self._in_order(self.shape(tree.source, this), tree.at)
            case ast.Unary():
                return self.shape(tree.operand, this)
            case ast.TypeOperation():
                return self._type_operation(tree, this)
            case ast.Binary():
                return self._binary(tree, this)
            case ast.Call():
                return self._call(tree, this)

    def _error(self, message: str, at: int) -> FhirPathError:
        return FhirPathError(message, Position.of(self._expression, at))

    def _in_order(self, shape: Shape, at: int) -> Shape:
        if not shape.ordered:
            raise self._error("the items of children() and descendants() have no order to count by", at)
        return shape

    # --- paths

    def _member(self, tree: ast.Member, this: Shape) -> Shape:
        source = this if tree.source is None else self.shape(tree.source, this)
        if source.types is None or source.types & _ABSTRACT:
            return Shape(None, source.ordered)
        if tree.source is None and tree.name[:1].isupper():
            same = frozenset(name for name in source.types if tree.name in self._model.kinds(name))
            if same:
                return replace(source, types=same)
        found = [self._children(name, tree.name) for name in source.types]
        if not any(found):
            raise self._no_element(tree, source.types)
        children = frozenset().union(*found)
        return Shape(None if None in children else frozenset(map(str, children)), source.ordered)

    def _children(self, type_name: str, name: str) -> frozenset[str | None]:
        if type_name == "System.Quantity" and name in _QUANTITY_MEMBERS:
            return frozenset({None})
        return frozenset(child.type for child in self._model.children(type_name).get(name, ()))

    def _no_element(self, tree: ast.Member, types: frozenset[str]) -> FhirPathError:
        owners = ", ".join(sorted(types)[:3]) + (" ..." if len(types) > 3 else "")
        if tree.source is None and tree.name[:1].isupper() and self._model.known(tree.name):
            where = Position.of(self._expression, tree.at)
            return _WrongType(f"the expression is about {tree.name}, the input is {owners}", where)
        return self._error(f"{owners} has no element '{tree.name}'", tree.at)

    # --- operators

    def _type_operation(self, tree: ast.TypeOperation, this: Shape) -> Shape:
        source = this if tree.operand is None else self.shape(tree.operand, this)
        if tree.operator == "is":
            return BOOLEAN
        wanted = self._model.resolve(tree.type)
        names = {"System": {f"System.{wanted.name}"}, "FHIR": {wanted.name}}
        either = {wanted.name, f"System.{wanted.name}"}
        # A name that FHIR and System share means the one that the source can have.
        found = names.get(wanted.namespace or "") or either & (source.types or either) or either
        return Shape(frozenset(found), source.ordered)

    def _binary(self, tree: ast.Binary, this: Shape) -> Shape:
        if tree.operator == "|":
            return self._union(tree, this)
        self.shape(tree.left, this)
        self.shape(tree.right, this)
        return UNKNOWN if tree.operator in ("+", "-", "*", "/", "div", "mod", "&") else BOOLEAN

    def _union(self, tree: ast.Binary, this: Shape) -> Shape:
        shapes: list[Shape] = []
        wrong: _WrongType | None = None
        for operand in (tree.left, tree.right):
            try:
                shapes.append(self.shape(operand, this))
            except _WrongType as error:
                wrong = wrong or error
        if wrong is not None and not shapes:
            raise wrong
        return shapes[0] if len(shapes) == 1 else shapes[0].joined(shapes[1])

    # --- functions

    def _call(self, tree: ast.Call, this: Shape) -> Shape:
        focus = this if tree.source is None else self.shape(tree.source, this)
        special = self._calls.get(tree.name)
        if special is not None:
            return special(tree, focus, this)
        inner = focus if tree.name in _ON_ITEMS else this
        arguments = [self.shape(argument, inner) for argument in tree.arguments]
        if tree.name in _TEXT:
            self._check_text(tree, focus)
        if tree.name in _ORDERED:
            return self._in_order(focus, tree.at)
        if tree.name in _JOINED:
            return focus.joined(arguments[0])
        return focus if tree.name in _SAME else BOOLEAN if tree.name in _BOOLEAN else UNKNOWN

    def _check_text(self, tree: ast.Call, focus: Shape) -> None:
        if focus.types and not any(self._may_be_text(name) for name in focus.types):
            raise self._error(f"{tree.name}() takes a string, not {', '.join(sorted(focus.types)[:3])}", tree.at)

    def _may_be_text(self, name: str) -> bool:
        return name.startswith("System.") or name in _ABSTRACT or self._model.is_primitive(name)

    def _select(self, tree: ast.Call, focus: Shape, this: Shape) -> Shape:
        found = self.shape(tree.arguments[0], focus)
        return replace(found, ordered=found.ordered and focus.ordered)

    def _repeat(self, tree: ast.Call, focus: Shape, this: Shape) -> Shape:
        found = self.shape(tree.arguments[0], focus)
        try:
            again = self.shape(tree.arguments[0], found)
        except FhirPathError:
            return found
        return found if again.types == found.types else UNKNOWN

    def _iif(self, tree: ast.Call, focus: Shape, this: Shape) -> Shape:
        inner = this if tree.source is None else focus
        shapes = [self.shape(argument, inner) for argument in tree.arguments]
        return shapes[1].joined(shapes[2]) if len(shapes) == 3 else shapes[1]
