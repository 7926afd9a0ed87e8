"""The one road of a single write: plan, commit, plan again on a conflict, answer as the client prefers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import uniform

from fhir_server.context import Context, Planned
from fhir_server.errors import Busy, Issue
from fhir_server.interactions.outcome import success
from fhir_server.interactions.store_errors import translate
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.version import Version
from fhir_server.storage.base import CommitResult, ConditionChanged, VersionChanged, Written

Plan = Callable[[Context, FhirRequest], Awaitable[Planned]]
NOTHING_WRITTEN = CommitResult(0, 0, ())


async def write(ctx: Context, request: FhirRequest, plan: Plan) -> FhirResponse:
    """Answer a create, update or patch."""
    planned, result = await commit(ctx, lambda: plan(ctx, request))
    if result.written:
        return answer(request, result.written[0], planned.issues)
    if planned.found is None:
        raise AssertionError("a plan without changes answers with a version")
    return answer(request, Written(planned.found, changed=False, created=False), planned.issues)


async def commit(ctx: Context, plan: Callable[[], Awaitable[Planned]]) -> tuple[Planned, CommitResult]:
    """Plan and commit; what the plan relied on may change in between, then it is made again.

    Raises:
        Busy: it changed `conditional_retries` times.
        FhirError: as the plan or the store refuses.
    """
    for attempt in range(ctx.settings.conditional_retries + 1):
        planned = await plan()
        if not planned.changes:
            return planned, NOTHING_WRITTEN
        try:
            return planned, await ctx.commit(planned.changes)
        except ConditionChanged:
            await pause(attempt)
        except VersionChanged as error:
            if not planned.guessed:
                raise await translate(ctx, error) from error
            await pause(attempt)
    raise Busy("others keep changing what this write depends on; try again")


async def pause(attempt: int) -> None:
    """Wait a little, longer each time and never as long as the next writer does."""
    await asyncio.sleep(uniform(0, 0.002 * (attempt + 1)))  # noqa: S311  # no secret depends on it


def answer(request: FhirRequest, written: Written, issues: Sequence[Issue] = ()) -> FhirResponse:
    """Answer a write by `Prefer: return`, the whole resource by default. An outcome has the findings on it too.

    Spec: https://hl7.org/fhir/R4/http.html#ops
    """
    version = written.version
    if version is None:
        raise AssertionError("only a delete writes no version")
    status = 201 if written.created else 200
    preferred = request.preference("return")
    if preferred == "minimal":
        return FhirResponse(status, (), version)
    if preferred == "OperationOutcome":
        return FhirResponse(status, (success(said(written, version), [*issues, *written.issues]),), version)
    return FhirResponse.of_version(version, status)


def said(written: Written | None, version: Version) -> str:
    """Say what a write came to; None is one that was not needed."""
    if written is None or not written.changed:
        return f"{version.key} stays at version {version.version}: nothing changed"
    return f"{version.key} is now at version {version.version}"
