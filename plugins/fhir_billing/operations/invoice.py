"""`Invoice/$invoice`: charges become invoices and claims; an invoice is taken back."""

from decimal import Decimal
from typing import Any

from fhir_billing.invoicing.issue import Wanted, cancel, issue
from fhir_billing.invoicing.lines import Share
from fhir_billing.invoicing.remainder import bill_remainder
from fhir_billing.operations.authority import for_staff
from fhir_billing.operations.definitions import KEY, MONEY, definition, part, parts
from fhir_billing.operations.inputs import key_of, money_in, seen
from fhir_server.plugin_api import BadValue, Call, Inputs, Operation, Outputs, PluginContext

KINDS = ("invoice", "claim", "exemption")
_PARTIES = ("Patient", "Organization", "RelatedPerson", "Practitioner")

FACTS = definition(
    "invoice", ("Invoice",), "Bill what is charged",
    [
        part("patient", "Reference", "Whose charges are billed."),
        part("encounter", "Reference", "Only the charges of this episode."),
        part("account", "Reference", "Only the charges of this account."),
        part("charge-item", "Reference", "Only these charges.", most="*"),
        parts("share", "Who bears what; without any, the patient bears all.", [
            part("party", "Reference", "Patient, insurer, employer, sponsor.", least=1),
            part("kind", "code", "invoice, claim (with coverage) or exemption; invoice where nothing is said."),
            part("amount", MONEY, "A fixed amount; without amount and percent: the rest."),
            part("percent", "decimal", "A part of the whole."),
            part("coverage", "Reference", "The Coverage that a claim is made under."),
            part("code", "code", "Why it is exempt, or the type of the claim."),
        ]),
        part("claim", "Reference", "Bill what is left to the patient of this claim instead."),
        part("cancel", "Reference", "Take this Invoice back instead; its charges may be billed anew."),
        part("reason", "string", "Why it is taken back."),
        KEY,
    ],
    [
        part("invoice", "Invoice", "What was made, or taken back.", most="*"),
        part("claim", "Claim", "What was made for insurers.", most="*"),
    ],
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call."""
    inputs = call.inputs
    taken_back = await seen(ctx, inputs, "cancel", ("Invoice",))
    if taken_back:
        await cancel(ctx, taken_back.partition("/")[2], str(inputs.one("reason", "cancelled")))
        return Outputs([("invoice", await ctx.client.read(*taken_back.split("/")))])
    decided = await seen(ctx, inputs, "claim", ("Claim",))
    if decided:
        made_of = await bill_remainder(ctx, decided.partition("/")[2], key_of(ctx, call))
        return Outputs([("invoice", await ctx.own.read(*made_of.split("/")))])
    patient = await seen(ctx, inputs, "patient", ("Patient",))
    if not patient:
        raise BadValue("name the patient whose charges are billed", expression="http.patient")
    items = tuple(f"ChargeItem/{str(each.get('reference')).split('/')[-1]}" for each in inputs.many("charge-item"))
    shares = tuple([await _share(ctx, each) for each in inputs.many("share")]) or (Share(patient, "invoice"),)
    context = await seen(ctx, inputs, "encounter", ("Encounter",))
    account = await seen(ctx, inputs, "account", ("Account",))
    issued = await issue(ctx, Wanted(patient, shares, key_of(ctx, call), context, account, items))
    made: list[tuple[str, Any]] = [("invoice", await ctx.own.read(*each.split("/"))) for each in issued.invoices]
    made += [("claim", await ctx.own.read(*each.split("/"))) for each in issued.claims]
    return Outputs(made)


async def _share(ctx: PluginContext, inputs: Inputs) -> Share:
    kind = str(inputs.one("kind", "invoice"))
    party, coverage = await seen(ctx, inputs, "party", _PARTIES), await seen(ctx, inputs, "coverage", ("Coverage",))
    if kind not in KINDS or (kind == "claim" and not coverage):
        said = f"a share is one of {', '.join(KINDS)}; a claim names its coverage"
        raise BadValue(said, expression="Parameters.parameter.where(name='share')")
    percent = inputs.one("percent")
    if percent is not None and not 0 <= Decimal(percent) <= 100:
        raise BadValue("percent is 0 to 100", expression="Parameters.parameter.where(name='share')")
    code = str(inputs.one("code", ""))
    return Share(party, kind, money_in(inputs, "amount"), None if percent is None else Decimal(percent), coverage, code)


OPERATION = Operation(FACTS, for_staff(run), "Bill what is charged; share it among those who pay.")
