"""Expression: a compiled expression and the ways to evaluate it."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import ast
from fhir_server.fhirpath.checker import check
from fhir_server.fhirpath.compiler import compile_tree
from fhir_server.fhirpath.conditions import compile_for, guarded
from fhir_server.fhirpath.constants import is_built_in
from fhir_server.fhirpath.context import DEFAULT_OPTIONS, Options, Resolve, Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.limits import DEFAULT_LIMITS, Limits
from fhir_server.fhirpath.node import Collection, Item, Node, root
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.paths import Walk
from fhir_server.fhirpath.substitution import substituted, variables
from fhir_server.fhirpath.types import TypeModel, default_model
from fhir_server.fhirpath.values import plain, typed


class Expression:
    """An expression, parsed and compiled; safe to keep and to share.

    Attributes:
        source: the expression as written.
        tree: its syntax tree, constants put in.
        model: the types that it is compiled for.
    """

    __slots__ = ("_checked", "_plain", "_step", "_walks", "model", "source", "tree")

    def __init__(
        self,
        source: str,
        model: TypeModel,
        limits: Limits = DEFAULT_LIMITS,
        constants: Mapping[str, ast.LiteralValue] | None = None,
    ) -> None:
        self.source = source
        self.model = model
        tree = parse(source, limits)
        self.tree: ast.Expr = substituted(tree, constants) if constants else tree
        self._checked: dict[str, frozenset[str] | None] = {}
        self._plain: dict[str, Walk | None] = {}
        self._walks: dict[Any, Walk] = {}
        try:
            self._step = compile_tree(self.tree, model)
        except FhirPathError as error:
            raise error.located(source) from None

    def evaluate(
        self,
        resource: Any,
        variables: Mapping[str, Any] | None = None,
        *,
        context: Node | None = None,
        resolve: Resolve | None = None,
        options: Options = DEFAULT_OPTIONS,
    ) -> list[Node]:
        """Evaluate, with type and place of each result.

        Args:
            resource: the JSON object of a resource, or a node.
            variables: values of `%name`: plain JSON, nodes, or lists of these.
            context: the element to start from (`%context`), a node below `resource`; the resource itself if None.
            resolve: reference to resource; stands for that of `options.services`.

        Raises:
            FhirPathError: with the position in the expression; LimitExceeded when it was cut off.
        """
        if resolve is not None:
            options = replace(options, services=replace(options.services, resolve=resolve))
        run = Run(_node(resource, self.model), self.model, options)
        run.context = context or run.root
        if options.strict and run.context.type is not None:
            self.check(run.context.type)
        if variables:
            run.variables = {name: _collection(value, self.model) for name, value in variables.items()}
        return [typed(item) for item in self._run(run)]

    def check(self, type_name: str) -> frozenset[str] | None:
        """Refuse what cannot mean anything on elements of a type, such as names that it does not have.

        Returns the types that results may have (`HumanName`, `System.Boolean`); None when that is not known.

        Raises:
            FhirPathError: with the position of the name at fault.
        """
        if type_name not in self._checked:
            self._checked[type_name] = check(self.tree, self.source, self.model, type_name)
        return self._checked[type_name]

    @property
    def function(self) -> str:
        """The name of the function whose result the expression gives; empty when it ends in something else."""
        return self.tree.name if isinstance(self.tree, ast.Call) else ""

    @property
    def undefined(self) -> frozenset[str]:
        """The names of `%name` that must be given as variables: neither constants of it nor built in."""
        return frozenset(name for name in variables(self.tree) if not is_built_in(name))

    def values(self, resource: Any, variables: Mapping[str, Any] | None = None) -> list[Any]:
        """Evaluate to plain JSON values, without types and places; the fast way for plain paths.

        The result may be a list of the resource itself: do not change it.

        Raises:
            FhirPathError: as for `evaluate`.
        """
        if variables is None and type(resource) is dict:
            return self.for_type(resource.get("resourceType"))(resource)
        return self._general(resource, variables)

    def for_type(self, type_name: Any) -> Walk:
        """The function behind `values` for resources or elements of one type: from JSON to plain values.

        For those who evaluate on many elements of a type. An expression that asks for `%resource` sees the element
        itself as the resource; `evaluate` with a context is the way then.
        """
        if not isinstance(type_name, str):
            return self._general
        found = self._walks.get(type_name)
        if found is not None:
            return found
        # Names of types come from data: only those that exist are kept.
        if not self.model.known(type_name):
            return self._general
        walk = self._walks[type_name] = self._walk(type_name)
        return walk

    def is_plain(self, type_name: str) -> bool:
        """Whether the expression is compiled straight onto the JSON of elements of a type, and needs no resource."""
        return self._plain_walk(type_name) is not None

    def _plain_walk(self, type_name: str) -> Walk | None:
        if type_name not in self._plain:
            self._plain[type_name] = compile_for(self.tree, self.model, type_name)
        return self._plain[type_name]

    def _walk(self, type_name: str) -> Walk:
        is_resource = self.model.is_resource(type_name)

        def general(value: Any) -> list[Any]:
            return self._general(value if is_resource else Node(value, type_name))

        plain_walk = self._plain_walk(type_name)
        return general if plain_walk is None else guarded(plain_walk, general)

    def _general(self, resource: Any, variables: Mapping[str, Any] | None = None) -> list[Any]:
        run = Run(_node(resource, self.model), self.model)
        if variables:
            run.variables = {name: _collection(value, self.model) for name, value in variables.items()}
        return [plain(item) for item in self._run(run)]

    def _run(self, run: Run) -> Collection:
        try:
            return self._step(run, [run.context])
        except FhirPathError as error:
            raise error.located(self.source) from None
        except RecursionError:
            raise FhirPathError("the data or the expression is nested too deeply") from None


def _node(resource: Any, model: TypeModel) -> Node:
    return resource if isinstance(resource, Node) else root(resource, model)


def _collection(value: Any, model: TypeModel) -> Collection:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [_item(part, model) for part in value]
    return [_item(value, model)]


def _item(value: Any, model: TypeModel) -> Item:
    if isinstance(value, dict):
        return root(value, model)
    return Decimal(repr(value)) if isinstance(value, float) else value


_STRICT = Options(strict=True)


@lru_cache(maxsize=4096)
def _compiled(expression: str, model: TypeModel, limits: Limits) -> Expression:
    return Expression(expression, model, limits)


def compile_expression(
    expression: str,
    *,
    model: TypeModel | None = None,
    limits: Limits = DEFAULT_LIMITS,
    constants: Mapping[str, ast.LiteralValue] | None = None,
) -> Expression:
    """Compile an expression, or find it compiled: the last 4096 are kept, those with constants not.

    Raises:
        FhirPathError: it cannot be parsed, or names a function or type that does not exist; has the position.
    """
    if constants:
        return Expression(expression, model or default_model(), limits, constants)
    return _compiled(expression, model or default_model(), limits)


def evaluate(
    resource: Any, expression: str, variables: Mapping[str, Any] | None = None, *, strict: bool = True
) -> list[Any]:
    """Evaluate an expression on a resource and give plain values: JSON for elements, str for dates and times.

    A Quantity is given as the JSON of a FHIR Quantity, a type as `{"namespace": ..., "name": ...}`.

    Raises:
        FhirPathError: the expression is wrong; has the position.
    """
    found = compile_expression(expression).evaluate(resource, variables, options=_STRICT if strict else DEFAULT_OPTIONS)
    return [node.value if node.value is not None else node.extra for node in found]
