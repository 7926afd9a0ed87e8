"""`Invoice/$refund`: asked for by one, approved by another."""

from fhir_billing.operations.authority import for_staff
from fhir_billing.operations.definitions import KEY, MONEY, definition, part
from fhir_billing.operations.inputs import key_of, money_in
from fhir_billing.payments.records import payment_of
from fhir_billing.payments.refunds import Refund, confirm, decide, refund_of, request
from fhir_server.plugin_api import BadValue, Call, NotFound, Operation, Outputs, PluginContext

FACTS = definition(
    "refund", ("Invoice",), "Give money back",
    [
        part("payment", "string", "Ask for a refund of this payment."),
        part("amount", MONEY, "How much; else all of it."),
        part("reason", "string", "Why."),
        part("refund", "string", "Decide on this refund instead."),
        part("approve", "boolean", "Whether it is approved."),
        part("way", "code", "back (as it came), cash or bank."),
        part("outcome", "code", "What was seen at the processor, of one without an answer: paid or failed."),
        part("shift", "string", "The shift whose drawer pays."),
        KEY,
    ],
    [
        part("refund", "string", "The id of the refund; its Task has the same.", least=1),
        part("state", "code", "asked, approved, refused, sent, unknown, paid or failed.", least=1),
        part("amount", MONEY, "How much.", least=1),
        part("receipt", "string", "The number of the receipt, for cash."),
    ],
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call."""
    inputs = call.inputs
    if inputs.one("refund"):
        return _answer(await _decided(ctx, call))
    payment = await payment_of(ctx.store, str(inputs.one("payment", "")))
    if payment is None:
        raise NotFound("there is no such payment", expression="http.payment")
    await ctx.client.read("Invoice", payment.invoice)
    given = money_in(inputs, "amount")
    amount = payment.amount if given is None else given
    reason = str(inputs.one("reason", ""))
    if not reason:
        raise BadValue("say why: reason", expression="http.reason")
    return _answer(await request(ctx, payment.id, amount, reason, key_of(ctx, call)))


async def _decided(ctx: PluginContext, call: Call) -> Refund:
    inputs = call.inputs
    found = await refund_of(ctx.store, str(inputs.one("refund")))
    payment = await payment_of(ctx.store, found.payment)
    assert payment is not None
    await ctx.client.read("Invoice", payment.invoice)
    outcome = inputs.one("outcome")
    if outcome is not None:
        if outcome not in ("paid", "failed"):
            raise BadValue("outcome is paid or failed", expression="http.outcome")
        return await confirm(ctx, found.id, outcome)
    approve, way = bool(inputs.one("approve", False)), str(inputs.one("way", "back"))
    if way not in ("back", "cash", "bank"):
        raise BadValue("way is back, cash or bank", expression="http.way")
    return await decide(ctx, found.id, approve=approve, way=way, shift=str(inputs.one("shift", "")))


def _answer(refund: Refund) -> Outputs:
    outputs = [("refund", refund.id), ("state", refund.state), ("amount", refund.amount.as_fhir())]
    return Outputs([*outputs, ("receipt", refund.receipt)] if refund.receipt else outputs)


OPERATION = Operation(FACTS, for_staff(run), "Give money back: asked for by one, approved by another.")
