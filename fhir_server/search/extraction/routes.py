"""Lower the FHIRPath of search parameters to routes: typed paths from a resource to the elements that it names.

What is lowered: members, choices (`value.as(Quantity)`, `ofType`), `where(x = 'y')`, `where(resolve() is Patient)`,
`extension('url')`, `exists()`, `first()`, `[0]`, `|`, `%resource`, and `and` / `or` of comparisons. Everything else is
left to the general engine (`NotLowerable`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Union

from fhir_server.definitions import Element, TypeDefinition
from fhir_server.fhirpath import ast
from fhir_server.fhirpath.errors import FhirPathError, Position

X = "\0"
"""Stands for the variable at hand in the Python text of a step; a repr() cannot hold it."""


@dataclass(frozen=True, slots=True)
class Field:
    """Go to a JSON property; `many`: it is an array, and the route goes on from each of its members."""

    name: str
    many: bool


@dataclass(frozen=True, slots=True)
class Item:
    """Go to one member of the array of the `Field` before."""

    index: int


@dataclass(frozen=True, slots=True)
class Test:
    """Go on only where a Python expression on X is true."""

    python: str


@dataclass(frozen=True, slots=True)
class Computed:
    """Go to the value of a Python expression on X; None is nothing."""

    python: str


Step = Union[Field, Item, Test, Computed]


@dataclass(frozen=True, slots=True)
class Route:
    """A path and the type found at its end.

    type: key in `Definitions.types`; `Resource` where the resource there says it itself.
    element: the last element, for the binding of a `code`; None at the root.
    target: only references to this type of resource count.
    from_root: starts at the resource (`%resource`), even where the expression starts at an element.
    """

    steps: tuple[Step, ...]
    type: str
    element: Element | None = None
    target: str | None = None
    from_root: bool = False


Routes = tuple[Route, ...]


class NotLowerable(Exception):
    """An expression that is sound but for the general engine."""


class Lowering:
    """Lowers expressions that start at one type of resource or element."""

    def __init__(self, types: Mapping[str, TypeDefinition], resource: str, text: str) -> None:
        self._types = types
        self._resource = resource
        self._text = text

    def routes(self, expression: ast.Expr, start: str | None = None) -> Routes:
        """Return the routes from the resource, or from an element of type `start`; none if it names another type.

        Raises:
            NotLowerable: the general engine must do it.
            FhirPathError: it names an element that does not exist; with the position.
        """
        return self._lower(expression, (Route((), start or self._resource),))

    def _lower(self, node: ast.Expr | None, start: Routes) -> Routes:
        match node:
            case None | ast.Variable(name="$this"):
                return start
            case ast.Member(source=None, name=name) if name in self._types and self._types[name].kind == "resource":
                return start if self._is_kind(start[0].type, name) else ()
            case ast.Member():
                return self._member(node, self._lower(node.source, start))
            case ast.Constant(name="resource" | "rootResource" | "context"):
                return (Route((), self._resource, from_root=True),)
            case ast.Index(source=source, index=ast.Literal(value=int(index))) if index >= 0:
                return self._item(source, index, start)
            case ast.TypeOperation(operator="as" | "ofType", operand=operand, type=type_):
                return tuple(r for route in self._lower(operand, start) for r in self._as(route, type_.name))
            case ast.Binary(operator="|", left=left, right=right):
                return tuple(dict.fromkeys((*self._lower(left, start), *self._lower(right, start))))
            case ast.Call():
                return self._call(node, start)
            case ast.Binary(operator="and" | "or" | "=" | "!="):
                return (Route((Computed(self._condition(node, start)),), "boolean"),)
        raise NotLowerable(self._text)

    def _call(self, node: ast.Call, start: Routes) -> Routes:
        match node:
            case ast.Call(name="where", source=source, arguments=(criterion,)):
                return tuple(self._where(route, criterion) for route in self._lower(source, start))
            case ast.Call(name="extension", source=source, arguments=(ast.Literal(value=str(url)),)):
                step = Test(f"{X}.get('url') == {url!r}")
                extensions = self._member(ast.Member(source, "extension", node.at), self._lower(source, start))
                return tuple(replace(route, steps=(*route.steps, step)) for route in extensions)
            case ast.Call(name="first", source=source, arguments=()):
                return self._item(source, 0, start)
            case ast.Call(name="exists", arguments=()):
                return (Route((Computed(self._condition(node, start)),), "boolean"),)
        raise NotLowerable(self._text)

    # --- members and types

    def _member(self, node: ast.Member, sources: Routes) -> Routes:
        found = [child for route in sources for child in self._children(route, node.name)]
        if sources and not found:
            if any(route.type in ("Resource", "DomainResource") or self._primitive(route.type) for route in sources):
                raise NotLowerable(self._text)
            names = " or ".join(dict.fromkeys(route.type for route in sources))
            raise FhirPathError(f"{names} has no element {node.name!r}", Position.of(self._text, node.at))
        return tuple(found)

    def _children(self, route: Route, name: str) -> Iterator[Route]:
        definition = self._types.get(route.type)
        for element in definition.elements if definition else ():
            if element.name == name:
                for key, of in element.json_names.items():
                    type_ = element.type_key or (of.code if of else "Element")
                    yield replace(
                        route, steps=(*route.steps, Field(key, element.max != 1)), type=type_, element=element
                    )

    def _primitive(self, type_: str) -> bool:
        return type_ in self._types and self._types[type_].kind == "primitive-type"

    def _as(self, route: Route, name: str) -> Routes:
        # A primitive is cast to its own type only: a canonical is no uri here, as in the general engine.
        if route.type == name or (self._is_kind(route.type, name) and not self._primitive(name)):
            return (route,)
        if name in self._types and self._is_kind(name, route.type) and self._types[name].kind == "resource":
            step = Test(f"{X}.get('resourceType') == {name!r}")
            return (replace(route, steps=(*route.steps, step), type=name),)
        return ()

    def _is_kind(self, type_: str | None, ancestor: str) -> bool:
        while type_ is not None and type_ != ancestor:
            definition = self._types.get(type_)
            type_ = definition.base if definition else None
        return type_ == ancestor

    # --- conditions

    def _where(self, route: Route, criterion: ast.Expr) -> Route:
        match criterion:
            case ast.TypeOperation(
                operator="is", operand=ast.Call(name="resolve", source=None | ast.Variable(name="$this")), type=type_
            ) if route.type == "Reference" and route.target is None:
                if type_.name in ("Resource", "DomainResource"):
                    raise NotLowerable(self._text)
                return replace(route, target=type_.name)
        if self._primitive(route.type) or route.target is not None:
            raise NotLowerable(self._text)
        return replace(route, steps=(*route.steps, Test(self._test(criterion, replace(route, steps=())))))

    def _test(self, criterion: ast.Expr, start: Route) -> str:
        match criterion:
            case ast.Binary(operator="=", left=left, right=ast.Literal(value=str(wanted))):
                routes = self._lower(left, (start,))
                match routes:
                    case (Route(steps=(Field(name=name, many=False),), target=None, from_root=False),):
                        return f"{X}.get({name!r}) == {wanted!r}"
        return self._condition(criterion, (start,))

    def _condition(self, node: ast.Expr, start: Routes) -> str:
        """Return Python for a criterion: True, False or None, as FHIRPath's three-valued logic has it."""
        match node:
            case ast.Binary(operator="and" | "or" as operator, left=left, right=right):
                return f"{operator}_({self._condition(left, start)}, {self._condition(right, start)})"
            case ast.Binary(
                operator="=" | "!=" as operator, left=left, right=ast.Literal(value=str() | bool() as value)
            ):
                test = f"equal({self._scalars(left, start)}, {value!r})"
                return test if operator == "=" else f"not_({test})"
            case ast.Call(name="exists", source=source, arguments=()) if source is not None:
                return f"{self._scalars(source, start, exists=True)} is not None"
        raise NotLowerable(self._text)

    def _scalars(self, node: ast.Expr, start: Routes, *, exists: bool = False) -> str:
        """Return Python for the only value at the end of routes that visit no array."""
        routes = self._lower(node, start)
        if not routes or any(r.from_root or r.target for r in routes):
            raise NotLowerable(self._text)
        return f"first({', '.join(text for r in routes for text in self._scalar(r, exists))})"

    def _scalar(self, route: Route, exists: bool) -> Iterator[str]:
        names = [step.name for step in route.steps if isinstance(step, Field) and not step.many]
        if len(names) != len(route.steps) or not names:
            raise NotLowerable(self._text)
        yield f"deep({X}, {', '.join(map(repr, names))})"
        if exists and self._primitive(route.type):
            # A primitive that has nothing but extensions exists too.
            yield f"deep({X}, {', '.join(map(repr, [*names[:-1], '_' + names[-1]]))})"

    # --- one of many

    def _item(self, source: ast.Expr | None, index: int, start: Routes) -> Routes:
        if not isinstance(source, ast.Member):
            raise NotLowerable(self._text)
        return tuple(self._one(route, index) for route in self._lower(source, start))

    def _one(self, route: Route, index: int) -> Route:
        """Take one member of the only array on the way: across several, FHIRPath counts through all of them."""
        many = [step for step in route.steps if isinstance(step, Field) and step.many]
        if not many and index == 0:
            return route
        if len(many) != 1 or route.steps[-1] is not many[0] or route.from_root:
            raise NotLowerable(self._text)
        return replace(route, steps=(*route.steps, Item(index)))
