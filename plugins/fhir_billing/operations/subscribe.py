"""`Invoice/$subscribe`: something that is billed in each period; and `Invoice/$dunning`: what is due now."""

from datetime import date

from fhir_billing.dunning.job import run as work
from fhir_billing.dunning.subscriptions import SUBSCRIPTIONS, Period, end, subscribe
from fhir_billing.operations.authority import for_staff
from fhir_billing.operations.definitions import definition, part
from fhir_billing.operations.inputs import seen
from fhir_server.plugin_api import BadValue, Call, NotFound, Operation, Outputs, PluginContext

FACTS = definition(
    "subscribe", ("Invoice",), "Bill something in each period",
    [
        part("patient", "Reference", "For whom."), part("party", "Reference", "Who pays; the patient, if not said."),
        part("code", "CodeableConcept", "What, as a price list has it."),
        part("months", "integer", "A period of so many months,"), part("days", "integer", "or of so many days."),
        part("start", "date", "The first day."), part("end", "string", "End this subscription instead."),
    ],
    [part("subscription", "string", "Its id.", least=1), part("state", "code", "Its state.", least=1)],
)  # fmt: skip
DUNNING = definition(
    "dunning", ("Invoice",), "Bill and dun what is due now, as the clock does each hour", [], [],
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$subscribe`."""
    inputs = call.inputs
    if inputs.one("end"):
        id_ = str(inputs.one("end"))
        record = await ctx.store.get(SUBSCRIPTIONS.name, id_)
        if record is None or await ctx.client.find(*str(record.value["patient"]).split("/")) is None:
            raise NotFound("there is no such subscription", expression="http.end")
        await end(ctx, id_)
        return await _answer(ctx, id_)
    patient = await seen(ctx, inputs, "patient", ("Patient",))
    party = await seen(ctx, inputs, "party", ("Patient", "Organization", "RelatedPerson")) or patient
    if not patient or not inputs.one("code"):
        raise BadValue("name the patient and the code", expression="http.patient")
    try:
        first = date.fromisoformat(str(inputs.one("start", "")))
    except ValueError:
        raise BadValue("start is a whole date", expression="http.start") from None
    period = Period(int(inputs.one("months", 0)), int(inputs.one("days", 0)))
    return await _answer(ctx, await subscribe(ctx, patient, party, dict(inputs.one("code")), period, first))


async def _answer(ctx: PluginContext, id_: str) -> Outputs:
    record = await ctx.store.get(SUBSCRIPTIONS.name, id_)
    assert record is not None
    return Outputs([("subscription", id_), ("state", record.value["state"])])


async def dun(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$dunning`."""
    await work(ctx)
    return Outputs([])


OPERATIONS = (
    Operation(FACTS, for_staff(run), "Bill something in each period."),
    Operation(DUNNING, for_staff(dun), "Bill and dun what is due now."),
)
