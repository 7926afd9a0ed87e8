"""The schema, for introspection: made of the definitions when somebody first asks for it.

Spec: https://spec.graphql.org/October2021/#sec-Introspection
"""

import zlib
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    MaxIntrospectionDepthRule,
    execute_sync,
    specified_directives,
    specified_rules,
    validate,
)

from fhir_graphql.document import Plan
from fhir_graphql.fields import ANY, Fields, fields_of, name_of
from fhir_server.plugin_api import Definitions, encode

_ANYTHING = 100
"""Types that a reference may be to from which on it says nothing about what refers to what."""
_META = ("__schema", "__type", "__typename")
_SCALARS = {
    "boolean": GraphQLBoolean, "integer": GraphQLInt, "positiveInt": GraphQLInt, "unsignedInt": GraphQLInt,
    "decimal": GraphQLFloat,
}  # fmt: skip


def is_introspection(plan: Plan) -> bool:
    """Whether a query asks for the schema, and nothing else."""
    names = [selection.name for selection in plan.selections]
    return all(name in _META for name in names) and any(name != "__typename" for name in names)


def introspect(plan: Plan, facts: Definitions, parameters: Any) -> tuple[bytes, list[GraphQLError]]:
    """Answer from the schema as JSON; errors where the query does not fit it."""
    asked = _Asked(plan, encode(dict(plan.variables)))
    try:
        return zlib.decompress(_packed(asked, facts, parameters)), []
    except _Refused as refused:
        return b"", refused.errors


class _Refused(Exception):
    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("introspection")
        self.errors = errors


class _Asked:
    """A plan that is equal to another where text, operation and variables are the same."""

    __slots__ = ("key", "plan")

    def __init__(self, plan: Plan, variables: bytes) -> None:
        self.plan = plan
        loc = plan.document.loc
        self.key = (loc.source.body if loc else "", plan.operation, variables)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=4)
def _packed(asked: _Asked, facts: Definitions, parameters: Any) -> bytes:
    """The answer, packed to a hundredth: tools ask the same again and again, and the whole schema takes seconds."""
    schema, plan = schema_of(facts, parameters), asked.plan
    errors = validate(schema, plan.document, [*specified_rules, MaxIntrospectionDepthRule])
    if errors:
        raise _Refused(errors)
    found = execute_sync(
        schema, plan.document, variable_values=dict(plan.variables), operation_name=plan.operation or None
    )
    if found.errors:
        raise _Refused(found.errors)
    return zlib.compress(encode({"data": found.data}), 1)


@lru_cache(maxsize=4)
def schema_of(facts: Definitions, parameters: Any) -> GraphQLSchema:
    """The schema by some definitions and search parameters; the last few are kept."""
    return _Maker(fields_of(facts), parameters).schema()


class _Maker:
    def __init__(self, fields: Fields, parameters: Any) -> None:
        self._fields, self._parameters = fields, parameters
        self._types: dict[str, GraphQLObjectType] = {}
        self._arguments: dict[str, dict[str, GraphQLArgument]] = {}
        self._connections: dict[str, GraphQLObjectType] = {}
        self._any = GraphQLInterfaceType(
            ANY, {"id": GraphQLField(GraphQLID), "resourceType": GraphQLField(GraphQLString)}
        )
        self._input = GraphQLScalarType("ResourceInput", description="A resource as JSON.")

    def schema(self) -> GraphQLSchema:
        """All types of resources, queries on them and mutations of them."""
        types = self._fields.facts.resource_types
        return GraphQLSchema(
            query=GraphQLObjectType("Query", partial(self._query, types)),
            mutation=GraphQLObjectType("Mutation", partial(self._mutation, types)),
            types=[self._object(type_) for type_ in types],
            directives=[*specified_directives, *_directives()],
        )

    def _query(self, types: tuple[str, ...]) -> dict[str, GraphQLField]:
        found: dict[str, GraphQLField] = {}
        for type_ in types:
            found[type_] = GraphQLField(self._object(type_), {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))})
            found |= self._lists(type_, self._searched(type_))
        return found

    def _lists(self, type_: str, arguments: dict[str, GraphQLArgument]) -> dict[str, GraphQLField]:
        return {
            f"{type_}List": GraphQLField(GraphQLList(self._object(type_)), arguments),
            f"{type_}Connection": GraphQLField(self._connection(type_), arguments),
        }

    def _mutation(self, types: tuple[str, ...]) -> dict[str, GraphQLField]:
        res, id_ = GraphQLArgument(GraphQLNonNull(self._input)), GraphQLArgument(GraphQLNonNull(GraphQLID))
        found: dict[str, GraphQLField] = {}
        for type_ in types:
            made = self._written(type_)
            found[f"{type_}Create"] = GraphQLField(made, {"res": res, "id": GraphQLArgument(GraphQLID)})
            found[f"{type_}Update"] = GraphQLField(made, {"id": id_, "res": res})
            found[f"{type_}Delete"] = GraphQLField(made, {"id": id_})
        return found

    def _written(self, type_: str) -> GraphQLObjectType:
        return GraphQLObjectType(
            f"{type_}Written",
            lambda: {
                "location": GraphQLField(GraphQLString),
                "resource": GraphQLField(self._object(type_)),
                "information": GraphQLField(self._object("OperationOutcome")),
            },
        )

    def _searched(self, type_: str) -> dict[str, GraphQLArgument]:
        found = self._arguments.get(type_)
        if found is None:
            names = {code if code.startswith("_") else code.replace("-", "_") for code in self._parameters.of(type_)}
            names |= {"_count", "_sort", "_cursor"}
            found = {name: GraphQLArgument(GraphQLList(GraphQLString)) for name in sorted(names)}
            self._arguments[type_] = found
        return found

    def _object(self, type_: str) -> GraphQLObjectType:
        found = self._types.get(type_)
        if found is None:
            resource = type_ in self._fields.facts.resource_types
            interfaces = [self._any] if resource else []
            found = GraphQLObjectType(name_of(type_), partial(self._members, type_, resource), interfaces)
            self._types[type_] = found
        return found

    def _members(self, type_: str, resource: bool) -> dict[str, GraphQLField]:
        found: dict[str, GraphQLField] = {}
        for name, of in self._fields.of(type_).items():
            kind = self._kind(name, of.type, of.scalar)
            arguments = self._choosing(of.type) if of.many else {}
            found[name] = GraphQLField(GraphQLList(kind) if of.many else kind, arguments)
        if resource:
            found["resourceType"] = GraphQLField(GraphQLString)
            found |= self._reverse(type_)
        if type_ == "Reference":
            arguments = {"type": GraphQLArgument(GraphQLString), "optional": GraphQLArgument(GraphQLBoolean)}
            found["resource"] = GraphQLField(self._any, arguments)
        return found

    def _kind(self, name: str, type_: str, scalar: bool) -> Any:
        if scalar:
            return GraphQLID if name == "id" else _SCALARS.get(type_, GraphQLString)
        return self._any if type_ == ANY else self._object(type_)

    def _choosing(self, type_: str) -> dict[str, GraphQLArgument]:
        """Arguments by which items of a list are chosen."""
        key = f"[{type_}]"
        if key not in self._arguments:
            names = [name for name, of in self._fields.of(type_).items() if of.scalar]
            own = {"fhirpath": GraphQLString, "_count": GraphQLInt, "_offset": GraphQLInt}
            found = {name: GraphQLArgument(GraphQLString) for name in names}
            self._arguments[key] = found | {name: GraphQLArgument(kind) for name, kind in own.items()}
        return self._arguments[key]

    def _reverse(self, type_: str) -> dict[str, GraphQLField]:
        """Lists of what refers to a type.

        What refers to it only as it may to anything has the arguments of pages alone: with all of theirs, which the
        server takes, these were three quarters of a schema of 58 MB.
        """
        found: dict[str, GraphQLField] = {}
        for other in self._fields.facts.resource_types:
            referring = (p for p in self._parameters.of(other).values() if p.type == "reference")
            targets = [len(p.targets) for p in referring if type_ in p.targets]
            if targets:
                known = min(targets) < _ANYTHING
                found |= self._lists(other, self._referring(other) if known else self._paged())
        return found

    def _referring(self, type_: str) -> dict[str, GraphQLArgument]:
        key = f"<{type_}>"
        if key not in self._arguments:
            named = GraphQLArgument(GraphQLNonNull(GraphQLString))
            self._arguments[key] = {"_reference": named, **self._searched(type_)}
        return self._arguments[key]

    def _paged(self) -> dict[str, GraphQLArgument]:
        if "<>" not in self._arguments:
            found = {"_reference": GraphQLArgument(GraphQLNonNull(GraphQLString))}
            names = ("_count", "_sort", "_cursor")
            self._arguments["<>"] = found | {name: GraphQLArgument(GraphQLList(GraphQLString)) for name in names}
        return self._arguments["<>"]

    def _connection(self, type_: str) -> GraphQLObjectType:
        found = self._connections.get(type_)
        if found is None:
            edge = GraphQLObjectType(f"{type_}Edge", lambda: _edge(self._object(type_)))
            found = GraphQLObjectType(f"{type_}Connection", _connected(edge))
            self._connections[type_] = found
        return found


def _edge(type_: GraphQLObjectType) -> Mapping[str, GraphQLField]:
    return {
        "mode": GraphQLField(GraphQLString),
        "score": GraphQLField(GraphQLFloat),
        "resource": GraphQLField(type_),
    }


def _connected(edge: GraphQLObjectType) -> dict[str, GraphQLField]:
    numbers = {name: GraphQLField(GraphQLInt) for name in ("count", "offset", "pagesize")}
    cursors = {name: GraphQLField(GraphQLString) for name in ("first", "previous", "next", "last")}
    return {**numbers, "edges": GraphQLField(GraphQLList(edge)), **cursors}


def _directives() -> list[GraphQLDirective]:
    on = [DirectiveLocation.FIELD]
    path = {"path": GraphQLArgument(GraphQLNonNull(GraphQLString))}
    return [
        GraphQLDirective("flatten", on, description="What the field holds goes one level up."),
        GraphQLDirective("first", on, description="The first item alone."),
        GraphQLDirective("singleton", on, description="One value, though a list above was flattened."),
        GraphQLDirective("slice", on, args=path, description="Each item under a name of its own."),
    ]
