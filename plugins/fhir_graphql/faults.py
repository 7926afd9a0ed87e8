"""What goes wrong in a query, as GraphQL says it, with an OperationOutcome inside.

Spec: https://hl7.org/fhir/R4/graphql.html, https://spec.graphql.org/October2021/#sec-Errors
"""

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError, Node, SourceLocation, get_location

from fhir_server.plugin_api import FhirError, Issue, decode, outcome

Path = tuple[str | int, ...]


class QueryFault(Exception):
    """A fault of the query itself: nothing of it is done."""

    def __init__(
        self,
        message: str,
        node: Node | None = None,
        code: str = "invalid",
        places: Sequence[SourceLocation] = (),
    ) -> None:
        super().__init__(message)
        self.message, self.node, self.code, self.locations = message, node, code, places


def as_error(fault: Exception, node: Node | None = None, path: Path = ()) -> dict[str, Any]:
    """One entry of `errors`."""
    issues = _issues(fault)
    error: dict[str, Any] = {"message": "; ".join(issue.diagnostics for issue in issues)}
    at = getattr(fault, "node", None) or node
    if isinstance(fault, GraphQLError | QueryFault) and fault.locations:
        error["locations"] = [{"line": place.line, "column": place.column} for place in fault.locations]
    elif at is not None and at.loc is not None:
        place = get_location(at.loc.source, at.loc.start)
        error["locations"] = [{"line": place.line, "column": place.column}]
    if path:
        error["path"] = list(path)
    error["extensions"] = {"code": issues[0].code, "resource": decode(outcome(issues))}
    return error


def _issues(fault: Exception) -> Sequence[Issue]:
    if isinstance(fault, FhirError):
        return fault.issues
    message = fault.message if isinstance(fault, QueryFault | GraphQLError) else str(fault)
    return [Issue(message, getattr(fault, "code", "invalid"))]
