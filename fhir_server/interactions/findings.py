"""Findings of the validator on a write: what refuses it, and what the client gets to read.

`Prefer: handling=strict` refuses what could not be checked: a profile in `meta.profile` that is not known, a required
binding whose codes are not loaded. `handling=lenient` makes warnings of what only profiles ask for. Without either,
errors refuse, of R4 and of profiles that are known. Findings that do not refuse are made only for those who read them:
`Prefer: return=OperationOutcome`.

Spec: https://hl7.org/fhir/R4/http.html#ops
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import InvalidResource, Issue
from fhir_server.model.exchange import FhirRequest
from fhir_server.telemetry.numbers import VALIDATION_SECONDS
from fhir_server.validation import Wanted
from fhir_server.validation.findings import Findings


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client prefers of the findings about what it writes."""

    handling: str = ""
    told: bool = False

    @staticmethod
    def of(request: FhirRequest) -> "Wishes":
        """Read the preferences of a request."""
        handling = request.preference("handling") or ""
        told = request.preference("return") == "OperationOutcome"
        return Wishes(handling, told) if handling or told else NO_WISHES


NO_WISHES = Wishes()


def validated(ctx: Context, resource: dict[str, Any], type_: str, wishes: Wishes) -> tuple[Issue, ...]:
    """Validate as the settings and the client wish, and return what is worth telling.

    Some of what `$validate` calls an error is no reason to lose what was observed: a code that the release of its
    system that is loaded here does not have yet, another display, a vital sign that does not claim to be as its profile
    has it, rules that R4 gives in words for Bundles and definitions. Those refuse a write only if the client is strict.

    Raises:
        InvalidResource: there are errors; all findings at once.
    """
    level = ctx.settings.validation
    if level == "off":
        return ()
    strict = wishes.handling == "strict"
    errors_only = not wishes.told and not strict
    wanted = Wanted(
        level,
        errors_only=errors_only,
        codes="error" if strict else "warning",
        implied=not errors_only,
        prose=not errors_only,
    )
    with VALIDATION_SECONDS.timed(type_):
        found = ctx.validator.look(resource, type_, wanted)
    if not found.issues:
        return ()
    issues = tuple(_as_wished(found, wishes))
    if any(issue.severity == "error" for issue in issues):
        if errors_only:  # now somebody reads the rest as well
            found = ctx.validator.look(resource, type_, replace(wanted, errors_only=False))
            issues = tuple(_as_wished(found, wishes))
        first = sorted(issues, key=lambda issue: issue.severity != "error")
        raise InvalidResource(f"{len(issues)} findings in {type_}", issues=first)
    return issues if wishes.told else ()


def _as_wished(found: Findings, wishes: Wishes) -> Iterator[Issue]:
    for issue, origin in zip(found.issues, found.origins, strict=True):
        if wishes.handling == "strict" and origin == "unchecked":
            yield replace(issue, severity="error")
        elif issue.severity == "error" and (
            (origin in ("implied", "prose") and wishes.handling != "strict")
            or (origin == "profile" and wishes.handling == "lenient")
        ):
            yield replace(issue, severity="warning")
        else:
            yield issue
