"""What a call asks: the text of the query, its variables, the name of the operation.

Spec: https://hl7.org/fhir/R4/graphql.html#using, https://graphql.org/learn/serving-over-http/
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_graphql.faults import QueryFault
from fhir_server.plugin_api import Call, decode


@dataclass(frozen=True, slots=True)
class Asked:
    """One query as it came."""

    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    operation: str = ""


def asked(call: Call) -> Asked:
    """Read the query from the URL, or from a body of JSON or of GraphQL itself.

    Raises:
        QueryFault: there is none, or what came is not one.
    """
    inputs, body = call.inputs, call.request.body
    if not body:
        variables = _variables(inputs.one("variables"))
        return _checked(inputs.one("query"), variables, inputs.one("operationName"))
    try:
        found = decode(body)
    except ValueError as error:
        raise QueryFault(str(error)) from None
    if not isinstance(found, dict):
        raise QueryFault('the body is an object with "query"')
    if found.get("resourceType") == "Binary":
        text = _decoded(found.get("data", ""))
        return _checked(text, _variables(inputs.one("variables")), inputs.one("operationName"))
    if found.get("resourceType") == "Parameters":
        texts = _texts(found.get("parameter"))
        return _checked(texts.get("query"), _variables(texts.get("variables")), texts.get("operationName"))
    return _checked(found.get("query"), _variables(found.get("variables")), found.get("operationName"))


def _decoded(data: Any) -> str:
    """Return the text of a Binary."""
    try:
        return b64decode(data).decode("utf-8", "replace")
    except (TypeError, ValueError):
        raise QueryFault("Binary.data is not base64") from None


def _texts(parameters: Any) -> dict[str, Any]:
    """Return the texts of Parameters by their names; what is misshapen says nothing."""
    parts = [part for part in parameters if isinstance(part, dict)] if isinstance(parameters, list) else []
    return {part["name"]: part.get("valueString") for part in parts if isinstance(part.get("name"), str)}


def _checked(query: Any, variables: Mapping[str, Any], operation: Any) -> Asked:
    if not isinstance(query, str) or not query.strip():
        raise QueryFault('there is no query: send it as ?query=, or as {"query": ...}, or as application/graphql')
    if operation is not None and not isinstance(operation, str):
        raise QueryFault("operationName is a text")
    return Asked(query, variables, operation or "")


def _variables(found: Any) -> Mapping[str, Any]:
    if isinstance(found, str) and found:
        try:
            found = decode(found.encode())
        except ValueError as error:
            raise QueryFault(f"variables: {error}") from None
    if found is None or found == "":
        return {}
    if not isinstance(found, dict):
        raise QueryFault("variables is an object")
    return found
