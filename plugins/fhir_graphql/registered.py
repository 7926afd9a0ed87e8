"""The operation as the plugin registers it; what answers it, a parser of GraphQL, is loaded when it is first asked."""

from functools import cache
from importlib.resources import files

from fhir_server.plugin_api import Operation, OperationFacts, decode, facts_of, later


@cache
def facts() -> OperationFacts:
    """The facts of the operation: R4's, with variables and operationName in the URL too."""
    return facts_of(decode(files("fhir_graphql").joinpath("graphql.json").read_bytes()))


def operation() -> Operation:
    """The operation."""
    said = "A GraphQL query, or a mutation; at an instance about that resource."
    return Operation(facts(), later("fhir_graphql.operation", "graphql"), said, any_format=True, own_body=True)
