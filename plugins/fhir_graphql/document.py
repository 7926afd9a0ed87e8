"""From the text of a query to a plan: fragments put in, variables replaced, limits kept.

Spec: https://spec.graphql.org/October2021/#sec-Document
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    parse,
)

from fhir_graphql.faults import QueryFault
from fhir_graphql.requests import Asked
from fhir_graphql.settings import GraphqlSettings
from fhir_graphql.values import plain, variables_of

_OWN = frozenset({"flatten", "first", "singleton", "slice"})


@dataclass(frozen=True, slots=True)
class Selection:
    """One field that is wanted.

    Attributes:
        key: its name in the answer.
        on: types that all must fit for it to count.
        flatten: its own object is left out, and what it holds goes one level up.
        slice: a FHIRPath expression whose value is put behind the name of each item.
    """

    name: str
    key: str
    node: FieldNode = field(compare=False, repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    on: tuple[str, ...] = ()
    selections: tuple["Selection", ...] = ()
    flatten: bool = False
    first: bool = False
    singleton: bool = False
    slice: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done; `document` is for the introspection, which graphql-core answers."""

    kind: OperationType
    selections: tuple[Selection, ...]
    document: DocumentNode = field(compare=False, repr=False)
    operation: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)


def plan_of(asked: Asked, settings: GraphqlSettings) -> Plan:
    """Make the plan of a query.

    Raises:
        QueryFault: it is no GraphQL, names what is not there, or is beyond a limit.
    """
    try:
        return _planned(parse(asked.query, max_tokens=settings.max_tokens), asked, settings)
    except GraphQLError as error:
        raise _fault(error) from None
    except RecursionError:
        raise QueryFault("the query is nested too deeply", code="too-costly") from None


def _planned(document: DocumentNode, asked: Asked, settings: GraphqlSettings) -> Plan:
    operation = _operation(document, asked.operation)
    variables = variables_of(operation, asked.variables)
    planner = _Planner(document, variables, settings)
    return Plan(operation.operation, planner.planned(operation.selection_set), document, asked.operation, variables)


def _fault(error: GraphQLError) -> QueryFault:
    return QueryFault(error.message, code="structure", places=error.locations or ())


def _operation(document: DocumentNode, name: str) -> OperationDefinitionNode:
    found = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    if name:
        found = [each for each in found if each.name is not None and each.name.value == name]
    if not found:
        raise QueryFault(f"there is no operation {name}" if name else "there is no operation in the query")
    if len(found) > 1:
        raise QueryFault("there are several operations: say which by operationName", found[1])
    if found[0].operation is OperationType.SUBSCRIPTION:
        raise QueryFault("subscriptions are not done by GraphQL here: use Subscription resources", found[0])
    return found[0]


class _Planner:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any], settings: GraphqlSettings) -> None:
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._variables, self._settings = variables, settings
        self._fields = 0
        self._open: list[str] = []

    def planned(self, selections: SelectionSetNode, depth: int = 1) -> tuple[Selection, ...]:
        """The fields of a selection set; those of one name and type in one."""
        if depth > self._settings.max_depth:
            raise QueryFault(f"the query is deeper than {self._settings.max_depth} levels", selections, "too-costly")
        found: dict[tuple[str, tuple[str, ...]], Selection] = {}
        for selection in self._fields_of(selections, (), depth):
            place = (selection.key, selection.on)
            found[place] = _merged(found[place], selection) if place in found else selection
        return tuple(found.values())

    def _fields_of(self, selections: SelectionSetNode, on: tuple[str, ...], depth: int) -> Iterator[Selection]:
        for node in selections.selections:
            if not self._wanted(node):
                continue
            self._spend(node)
            if isinstance(node, FieldNode):
                yield self._selection(node, on, depth)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = (*on, condition.name.value) if condition is not None else on
                yield from self._fields_of(node.selection_set, inner, depth)
            elif isinstance(node, FragmentSpreadNode):
                yield from self._spread(node, on, depth)

    def _spend(self, node: SelectionNode) -> None:
        self._fields += 1
        if self._fields > self._settings.max_fields:
            said = f"the query has more than {self._settings.max_fields} fields and fragments"
            raise QueryFault(said, node, "too-costly")

    def _spread(self, node: FragmentSpreadNode, on: tuple[str, ...], depth: int) -> Iterator[Selection]:
        name = node.name.value
        fragment = self._fragments.get(name)
        if fragment is None:
            raise QueryFault(f"there is no fragment {name}", node)
        if name in self._open:
            raise QueryFault(f"the fragment {name} contains itself", node)
        self._open.append(name)
        yield from self._fields_of(fragment.selection_set, (*on, fragment.type_condition.name.value), depth)
        self._open.pop()

    def _selection(self, node: FieldNode, on: tuple[str, ...], depth: int) -> Selection:
        directives = self._directives(node)
        inner = self.planned(node.selection_set, depth + 1) if node.selection_set else ()
        return Selection(
            name=node.name.value,
            key=node.alias.value if node.alias else node.name.value,
            node=node,
            arguments={
                argument.name.value: plain(argument.value, self._variables) for argument in node.arguments or ()
            },
            on=on,
            selections=inner,
            flatten="flatten" in directives,
            first="first" in directives,
            singleton="singleton" in directives,
            slice=directives.get("slice", ""),
        )

    def _directives(self, node: FieldNode) -> dict[str, str]:
        found: dict[str, str] = {}
        for directive in node.directives or ():
            name = directive.name.value
            if name in ("skip", "include"):
                continue
            if name not in _OWN:
                raise QueryFault(f"there is no directive @{name}", directive)
            values = [plain(argument.value, self._variables) for argument in directive.arguments or ()]
            if name == "slice" and (len(values) != 1 or not isinstance(values[0], str) or not values[0]):
                raise QueryFault('@slice takes an expression: @slice(path: "use")', directive)
            found[name] = values[0] if name == "slice" else "yes"
        if "slice" in found and "first" in found:
            raise QueryFault("@slice and @first exclude each other", node)
        return found

    def _wanted(self, node: SelectionNode) -> bool:
        """Spec: https://spec.graphql.org/October2021/#sec--skip"""
        for directive in node.directives or ():
            name = directive.name.value
            if name in ("skip", "include"):
                values = [plain(argument.value, self._variables) for argument in directive.arguments or ()]
                if len(values) != 1 or not isinstance(values[0], bool):
                    raise QueryFault(f"@{name} takes if: true or false", directive)
                if values[0] is (name == "skip"):
                    return False
        return True


def _merged(one: Selection, other: Selection) -> Selection:
    """Two wishes for one field of the answer. Spec: https://spec.graphql.org/October2021/#sec-Field-Selection-Merging"""
    if replace(one, selections=()) != replace(other, selections=()):
        raise QueryFault(f"two different fields are called {other.key}: give one an alias", other.node)
    found = {(each.key, each.on): each for each in one.selections}
    for each in other.selections:
        place = (each.key, each.on)
        found[place] = _merged(found[place], each) if place in found else each
    return replace(one, selections=tuple(found.values()))
