"""OperationOutcomes as bytes."""

from collections.abc import Iterable
from dataclasses import replace

from fhir_server.errors import Issue
from fhir_server.model.json import encode


def outcome(issues: Iterable[Issue]) -> bytes:
    """Write an OperationOutcome with these issues. Spec: https://hl7.org/fhir/R4/operationoutcome.html"""
    return encode({"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in issues]})


def success(text: str, issues: Iterable[Issue] = ()) -> bytes:
    """Write an OperationOutcome that says what was done, and what was noticed."""
    return outcome([Issue(text, "informational", "information"), *issues])


def prefixed(issues: Iterable[Issue], prefix: str) -> list[Issue]:
    """Say where in a Bundle the issues stand: `Patient.birthDate` becomes `Bundle.entry[3].resource.birthDate`."""
    return [
        replace(issue, expression=tuple(_below(prefix, expression) for expression in issue.expression))
        for issue in issues
    ]


def _below(prefix: str, expression: str) -> str:
    if expression.startswith("http."):
        return expression
    _, dot, rest = expression.partition(".")
    return prefix + dot + rest
