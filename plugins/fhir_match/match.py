"""`Patient/$match`: who of the record a description may be of, with grades and what each score is made of.

Spec: https://hl7.org/fhir/R4/patient-operation-match.html
"""

from collections.abc import Iterator
from typing import Any

from fhir_match.matcher import Match, Matcher, Matches
from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    Issue,
    Outputs,
    PluginContext,
    encode,
    outcome,
    write_bundle,
)

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
CONTRIBUTION = "http://fhir-server.org/StructureDefinition/match-contribution"


class MatchOperation:
    """Answers `$match`."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    async def __call__(self, ctx: PluginContext, call: Call) -> Outputs:
        """Answer a call.

        Raises:
            BadRequest: the resource is no Patient, or has nothing to look somebody up by.
        """
        patient, count = call.inputs.one("resource"), call.inputs.one("count")
        if patient.get("resourceType") != "Patient":
            raise BadRequest(f"$match takes a Patient, not {patient['resourceType']}", expression="resource")
        if count is not None and count < 1:
            raise BadValue(f"count={count}: ask for at least one match", expression="count")
        _check(ctx, patient)
        certain = bool(call.inputs.one("onlyCertainMatches", False))
        matches = await self._matcher.match(ctx, patient, count=count, only_certain=certain)
        entries = [*_entries(ctx.base, matches), *_advice(matches)]
        identity = (ctx.new_id(), ctx.now())
        body = write_bundle("searchset", entries, identity=identity, total=len(matches.found))
        return Outputs([("return", body)])


def _check(ctx: PluginContext, patient: dict[str, Any]) -> None:
    """Refuse what has not the form of a Patient; it need not be one that could be stored."""
    issues = ctx.core.validator.check(patient, "Patient", level="structure")
    wrong = [issue for issue in issues if issue.severity in ("error", "fatal")]
    if wrong:
        raise BadRequest(wrong[0].diagnostics, issues=wrong)


def _entries(base: str, matches: Matches) -> Iterator[bytes]:
    for match in matches.found:
        url = encode(f"{base}/{match.version.key}")
        yield b'{"fullUrl":%b,"resource":%b,"search":%b}' % (url, match.version.stamped(), encode(_search(match)))


def _search(match: Match) -> dict[str, Any]:
    score = match.score
    parts = [
        {
            "url": CONTRIBUTION,
            "extension": [
                {"url": "field", "valueCode": each.field},
                {"url": "agreement", "valueCode": each.level},
                {"url": "weight", "valueDecimal": round(each.weight, 2)},
            ],
        }
        for each in score.contributions
    ]
    return {
        "extension": [{"url": GRADE, "valueCode": score.grade}, *parts],
        "mode": "match",
        "score": round(score.value, 6),
    }


def _advice(matches: Matches) -> Iterator[bytes]:
    """Yield an outcome where somebody may be missing, or a conflict kept a score down."""
    issues = [
        Issue(
            f"more patients than one look-up takes are alike by {name}: give more of the patient, or somebody may be "
            "missing here", "incomplete", "warning",
        )
        for name in matches.cut
    ]  # fmt: skip
    issues += [
        Issue(
            f"match {number}: another given name, birth date or unique identifier kept the score at "
            f"{match.score.value}; it may be a relative", "informational", "information",
        )
        for number, match in enumerate(matches.found, 1)
        if match.score.capped
    ]  # fmt: skip
    if issues:
        yield b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome(issues)
