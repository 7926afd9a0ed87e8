"""What the links between the entries of a transaction, and its conditional references, point to."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.errors import BadRequest, MultipleMatches, PreconditionFailed, UnknownPath
from fhir_server.interactions.conditional import Find
from fhir_server.interactions.transaction.references import References, conditional_references
from fhir_server.interactions.transaction.settle import Settled
from fhir_server.interactions.transaction.steps import Step
from fhir_server.storage.base import Condition


async def find_links(ctx: Context, steps: Sequence[Step], settled: Settled) -> tuple[References, Sequence[Condition]]:
    """Return where links lead, and what has to stay true for conditional references to lead there.

    Spec: https://hl7.org/fhir/R4/http.html#trules

    Raises:
        BadRequest: two entries have one fullUrl.
        PreconditionFailed, MultipleMatches: a conditional reference finds nothing, or several.
    """
    targets = _targets(steps, settled)
    criteria: dict[str, str] = {}
    conditions = []
    for reference in sorted(conditional_references(step.entry.resource for step in steps)):
        criteria[reference], condition = await _find(ctx, reference, settled.overlay.find)
        conditions.append(condition)
    return References(ctx.definitions, targets, criteria, _versions(settled)), conditions


def _targets(steps: Sequence[Step], settled: Settled) -> Mapping[str, str]:
    targets: dict[str, str] = {}
    for step in steps:
        full_url, target = step.entry.full_url, settled.targets.get(step.entry.index)
        if full_url is None or target is None:
            continue
        if full_url in targets:
            raise BadRequest(f"the fullUrl {full_url[:200]!r} stands twice", expression=f"{step.entry.place}.fullUrl")
        targets[full_url] = str(target.key)
    return targets


def _versions(settled: Settled) -> Mapping[str, int]:
    """Return the versions that resources will have, for references that name one.

    Spec: https://hl7.org/fhir/R4/http.html#trules ("Version-specific references should remain ...")
    """
    return {
        str(target.key): target.found.version if target.answers and target.found else (target.expected or 0) + 1
        for target in settled.targets.values()
        if target.answers or target.expected is not None
    }


async def _find(ctx: Context, reference: str, find: Find) -> tuple[str, Condition]:
    type_, _, query = reference.partition("?")
    if type_ not in ctx.definitions.resource_types:
        raise UnknownPath(f"conditional reference {reference[:200]!r}: {type_!r} is not a resource type")
    matches = await find(ctx, type_, tuple(parse_qsl(query, keep_blank_values=True)))
    if len(matches.versions) > 1:
        raise MultipleMatches(f"the conditional reference {reference[:200]!r} matches several {type_}")
    if not matches.versions:
        raise PreconditionFailed(f"the conditional reference {reference[:200]!r} matches nothing")
    return str(matches.versions[0].key), matches.condition
