"""Where an expression stands in a view, and how it is evaluated there.

Most expressions of a view are plain paths on elements of one known type. Those run straight on the JSON. The others
need the typed nodes of the FHIRPath engine, which know their parents; then all that stands below the same `forEach`
runs on nodes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fhir_server.plugin_api import (
    Expression,
    FhirPathError,
    FhirPathLimits,
    Node,
    Options,
    Services,
    TypeModel,
    compile_expression,
)
from fhir_views.engine.definition import Text
from fhir_views.engine.faults import Fault, RowError, ViewError

ROW_INDEX = "rowIndex"
_SECONDS, _STEPS = 1.0, 200_000
"""What one expression may take on one element."""


class Resource:
    """One resource while its rows are made: its JSON, its node, and how many rows it may give."""

    __slots__ = ("_model", "_node", "json", "limit")

    def __init__(self, json: Any, model: TypeModel, rows: int) -> None:
        self.json = json
        self.limit = rows
        self._model = model
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """The typed node, made when somebody needs it."""
        if self._node is None:
            self._node = Node(self.json, self.json.get("resourceType"))
        return self._node


# (resource, focus, row index) to what an expression gives there.
Evaluate: TypeAlias = Callable[[Resource, Any, int], list[Any]]
Kind = Literal["resource", "json", "node"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the focus of an expression is.

    Attributes:
        kind: the resource itself; the JSON of an element of the one type in `types`; or a node.
        types: what the focus may be; None when that is not known.
    """

    kind: Kind
    types: frozenset[str] | None

    @property
    def type(self) -> str | None:
        """The only type that the focus can have."""
        return next(iter(self.types)) if self.types is not None and len(self.types) == 1 else None


class NeedsNodes(Exception):
    """An expression cannot run on the bare JSON of an element."""


class Compiler:
    """Compiles the expressions of one view, and notes what is wrong with them.

    Attributes:
        faults: what makes the view impossible.
        warnings: names that the types do not have; they give nothing.
    """

    def __init__(self, model: TypeModel, constants: Mapping[str, Any], services: Services) -> None:
        self.model = model
        self.faults: list[Fault] = []
        self.warnings: dict[str, Fault] = {}
        self._constants = constants
        self._options = Options(services, FhirPathLimits(seconds=_SECONDS, steps=_STEPS))
        self._compiled: dict[Text, Expression | None] = {}

    def expression(self, text: Text) -> Expression | None:
        """Compile; None when it is wrong, which is noted once."""
        if text not in self._compiled:
            self._compiled[text] = self._compile(text)
        return self._compiled[text]

    def _compile(self, text: Text) -> Expression | None:
        if not text.value:
            return None  # that it is missing is known already
        try:
            found = compile_expression(text.value, model=self.model, constants=self._constants)
        except FhirPathError as error:
            self.faults.append(Fault(text.place, str(error)))
            return None
        unknown = sorted(found.undefined - {ROW_INDEX})
        if unknown:
            self.faults.append(Fault(text.place, f"there is no constant %{unknown[0]}"))
            return None
        return found

    def types(self, text: Text, scope: Scope) -> frozenset[str] | None:
        """What an expression may give in a scope; None when not known. A name that cannot be there is a warning."""
        found, wrong = self.judged(text, scope)
        if wrong is not None:
            self.warnings[text.place] = wrong
        return found

    def judged(self, text: Text, scope: Scope) -> tuple[frozenset[str] | None, Fault | None]:
        """What an expression may give in a scope, and why it can give nothing there."""
        expression = self.expression(text)
        if expression is None or scope.types is None:
            return None, None
        found: list[frozenset[str] | None] = []
        errors: list[FhirPathError] = []
        for name in sorted(scope.types):
            try:
                found.append(expression.check(name))
            except FhirPathError as error:
                errors.append(error)
        if errors and not found:
            return None, Fault(text.place, str(errors[0]))
        return together(found), None

    def evaluator(self, text: Text, scope: Scope) -> Evaluate:
        """The values of an expression as plain JSON; primitives without a value are left out.

        Raises:
            NeedsNodes: the scope is bare JSON, and this expression needs more.
        """
        expression = self.expression(text)
        if expression is None:
            return _nothing
        evaluate = self._evaluator(expression, text, scope)
        return _joined(evaluate) if self.joins(text) else evaluate

    def joins(self, text: Text) -> bool:
        """Whether an expression ends in `join()`, which of nothing is the empty string in views.

        FHIRPath itself has nothing there.
        """
        expression = self.expression(text)
        return expression is not None and expression.function == "join"

    def _evaluator(self, expression: Expression, text: Text, scope: Scope) -> Evaluate:
        if ROW_INDEX in expression.undefined:
            return self._counted(expression, text, scope)
        if scope.kind == "node":
            return self._mixed(expression, text)
        if scope.type is not None and expression.is_plain(scope.type):
            return _walked(expression, text, scope.type, self._primitive(text, scope))
        return self._general(expression, text, scope)

    def walk(self, text: Text, scope: Scope) -> tuple[Callable[[Any], list[Any]], bool] | None:
        """The bare function behind a plain expression, and whether it gives primitives; None for any other."""
        expression = self.expression(text)
        if expression is None or scope.kind == "node" or scope.type is None or not expression.is_plain(scope.type):
            return None
        return expression.for_type(scope.type), self._primitive(text, scope)

    def _counted(self, expression: Expression, text: Text, scope: Scope) -> Evaluate:
        """One that asks for `%rowIndex`."""
        if expression.source.strip() == f"%{ROW_INDEX}":
            return lambda resource, focus, index: [index]
        return self._general(expression, text, scope)

    def _primitive(self, text: Text, scope: Scope) -> bool:
        types, _ = self.judged(text, scope)
        return types is not None and all(self._is_primitive(name) for name in types)

    def _is_primitive(self, name: str) -> bool:
        return name.startswith("System.") or self.model.is_primitive(name)

    def _general(self, expression: Expression, text: Text, scope: Scope) -> Evaluate:
        nodes = self.nodes(text, scope)
        return lambda resource, focus, index: [
            node.value for node in nodes(resource, focus, index) if node.value is not None
        ]

    def _mixed(self, expression: Expression, text: Text) -> Evaluate:
        """On a node: its bare JSON where its type allows."""
        general = self._general(expression, text, Scope("node", None))
        walks: dict[str | None, Evaluate | None] = {None: None}

        def evaluate(resource: Resource, focus: Node, index: int) -> list[Any]:
            if focus.type not in walks:
                walks[focus.type] = self._walk_for(expression, text, str(focus.type))
            walk = walks[focus.type]
            if walk is None or focus.value is None:
                return general(resource, focus, index)
            return walk(resource, focus.value, index)

        return evaluate

    def _walk_for(self, expression: Expression, text: Text, type_name: str) -> Evaluate | None:
        if not self.model.known(type_name) or not expression.is_plain(type_name):
            return None
        try:
            types = expression.check(type_name)
        except FhirPathError:
            types = None
        return _walked(expression, text, type_name, types is not None and all(map(self._is_primitive, types)))

    def nodes(self, text: Text, scope: Scope) -> Callable[[Resource, Any, int], list[Node]]:
        """The values of an expression as nodes.

        Raises:
            NeedsNodes: the scope is bare JSON.
        """
        if scope.kind == "json":
            raise NeedsNodes
        expression = self.expression(text)
        if expression is None:
            return _nothing
        whole, options, place = scope.kind == "resource", self._options, text.place
        counts = ROW_INDEX in expression.undefined

        def evaluate(resource: Resource, focus: Any, index: int) -> list[Node]:
            root = resource.node
            variables = {ROW_INDEX: index} if counts else None
            try:
                return expression.evaluate(root, variables, context=root if whole else focus, options=options)
            except FhirPathError as error:
                raise RowError(Fault(place, str(error))) from None

        return evaluate


def _nothing(resource: Resource, focus: Any, index: int) -> list[Any]:
    return []


def _joined(evaluate: Evaluate) -> Evaluate:
    return lambda resource, focus, index: evaluate(resource, focus, index) or [""]


def _walked(expression: Expression, text: Text, type_name: str, primitive: bool) -> Evaluate:
    """On bare JSON. A primitive with nothing but extensions shows as an object, and has no value."""
    walk, place = expression.for_type(type_name), text.place

    def evaluate(resource: Resource, focus: Any, index: int) -> list[Any]:
        try:
            found = walk(focus)
        except FhirPathError as error:
            raise RowError(Fault(place, str(error))) from None
        if primitive and dict in map(type, found):
            return [value for value in found if type(value) is not dict]
        return found

    return evaluate


def together(types: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """What several collections may hold; None when that of one is not known."""
    found: frozenset[str] = frozenset()
    for each in types:
        if each is None:
            return None
        found |= each
    return found


def refuse(faults: list[Fault]) -> None:
    """Raise ViewError if there are faults."""
    if faults:
        raise ViewError(dict.fromkeys(faults))
