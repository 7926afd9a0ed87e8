"""`$retention`: what is kept too long, told or removed by policies."""

from dataclasses import asdict

from fhir_server.context import Context
from fhir_server.errors import BadValue, Forbidden
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import encode
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Pairs
from fhir_server.privacy import retention as policies
from fhir_server.privacy.retention import Applied, BadPolicy, Policy


async def _run(ctx: Context, call: Call) -> Outputs | FhirResponse:
    """Store policies, or follow those in force: a dry run unless it is asked otherwise; a real one is a job.

    Raises:
        Forbidden: the caller is no administrator.
        BadValue: a policy that cannot be followed.
    """
    if not ctx.caller.admin:
        raise Forbidden("$retention is for administrators", expression="http.url")
    text, dry = call.inputs.one("policies"), call.inputs.one("dryRun", True)
    if text is not None:
        await policies.save(ctx, _read(ctx, text))
    if not dry and ctx.jobs is not None and not ctx.in_job:
        return await ctx.jobs.submit(ctx, call.request)
    found = await policies.apply(ctx, await policies.load(ctx), dry=dry)
    return Outputs([("dryRun", dry), *(("policy", _told(each)) for each in found)])


def _read(ctx: Context, text: str) -> tuple[Policy, ...]:
    try:
        return policies.read_policies(text.encode(), ctx)
    except BadPolicy as error:
        raise BadValue(str(error), expression="http.policies") from None
    except ValueError:
        raise BadValue("the criteria of a policy are no search", expression="http.policies") from None


def _told(applied: Applied) -> Pairs:
    counts = ("found", "done", "held", "referred", "versions")
    rules = encode(asdict(applied.policy)).decode()
    return [("name", applied.policy.name), ("rules", rules), *((name, getattr(applied, name)) for name in counts)]


retention = CoreOperation(
    facts=own("retention"),
    handler=_run,
    summary="What is kept longer than policies allow, told or removed; for administrators.",
    background=True,
)
