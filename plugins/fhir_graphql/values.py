"""Values of arguments and variables as plain data.

Spec: https://spec.graphql.org/October2021/#sec-Input-Values
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListTypeNode,
    ListValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    TypeNode,
    ValueNode,
    VariableNode,
)

from fhir_graphql.faults import QueryFault

_KINDS: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "ID": (str, int),
    "Int": (int,),
    "Float": (int, float, Decimal),
    "Boolean": (bool,),
}


def plain(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    """A value as plain data; enum values are texts, numbers with a point `Decimal`.

    Raises:
        QueryFault: it names a variable that is not there.
    """
    match node:
        case VariableNode():
            if node.name.value not in variables:
                raise QueryFault(f"there is no variable ${node.name.value}", node)
            return variables[node.name.value]
        case StringValueNode() | EnumValueNode():
            return node.value
        case IntValueNode():
            return int(node.value)
        case FloatValueNode():
            return Decimal(node.value)
        case BooleanValueNode():
            return node.value
        case ListValueNode():
            return [plain(each, variables) for each in node.values]
        case ObjectValueNode():
            return {each.name.value: plain(each.value, variables) for each in node.fields}
        case NullValueNode():
            return None
    raise QueryFault("a value that is none", node)


def variables_of(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of an operation: those that are given, else their defaults.

    Raises:
        QueryFault: one is missing or of another type, or one is given that the operation does not have.
    """
    found: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name in given:
            found[name] = given[name]
            _check(name, given[name], definition.type, definition.variable)
        elif definition.default_value is not None:
            found[name] = plain(definition.default_value, {})
        elif isinstance(definition.type, NonNullTypeNode):
            raise QueryFault(f"the variable ${name} is needed", definition.variable)
        else:
            found[name] = None
    return found


def _check(name: str, value: Any, type_: TypeNode, at: VariableNode) -> None:
    if isinstance(type_, NonNullTypeNode):
        if value is None:
            raise QueryFault(f"the variable ${name} is needed", at)
        type_ = type_.type
    if value is None:
        return
    if isinstance(type_, ListTypeNode):
        for each in value if isinstance(value, list) else [value]:
            _check(name, each, type_.type, at)
        return
    assert isinstance(type_, NamedTypeNode)
    kinds = _KINDS.get(type_.name.value)
    # true is an int to Python, and none to GraphQL
    wrong = kinds is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds))
    if wrong:
        raise QueryFault(f"the variable ${name} is of type {type_.name.value}", at)
