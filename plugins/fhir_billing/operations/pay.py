"""`Invoice/[id]/$pay`: an invoice is paid, in part or in whole."""

from fhir_billing.operations.definitions import KEY, MONEY, definition, part
from fhir_billing.operations.inputs import key_of, money_in
from fhir_billing.payments.documents import notice_id
from fhir_billing.payments.paying import Wish, pay
from fhir_billing.payments.states import MOVED
from fhir_server.plugin_api import Call, Forbidden, Operation, Outputs, PluginContext

FACTS = definition(
    "pay", ("Invoice",), "Pay an invoice",
    [
        part("method", "code", "cash, credit, bank, auto, or the name or kind of a processor.", least=1),
        part("amount", MONEY, "How much, in any currency that can be exchanged; else all that is open."),
        part("currency", "code", "The currency to pay all in, where no amount is given."),
        part("country", "code", "The payer's country, for the choice of a processor."),
        part("shift", "string", "The cashier's shift, for cash."),
        part("phone", "string", "The phone that is asked to pay, for mobile money."),
        part("email", "string", "The payer's address, where a processor wants one."),
        part("return-url", "url", "Where the payer's browser goes afterwards."),
        KEY,
    ],
    [
        part("payment", "string", "The id of the payment.", least=1),
        part("state", "code", "Its state, as docs/billing.md shows them.", least=1),
        part("amount", MONEY, "What is paid.", least=1),
        part("redirect", "url", "The processor's page on which the payer goes on."),
        part("qr", "string", "The text of the code to show."),
        part("token", "string", "For the fields that the processor hosts."),
        part("receipt", "string", "The number of the receipt."),
        part("notice", "PaymentNotice", "Where it is paid."),
    ],
    instance=True,
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call."""
    inputs, id_ = call.inputs, str(call.request.id)
    await ctx.client.read("Invoice", id_)
    if ctx.core.restriction.bound and inputs.one("method") in ("cash", "bank"):
        raise Forbidden("cash is taken by a cashier", expression="http.method")
    texts = {name: str(inputs.one(name, "")) for name in ("currency", "country", "shift", "phone", "email")}
    back = str(inputs.one("return-url", ""))
    wish = Wish(id_, str(inputs.one("method")), key_of(ctx, call), money_in(inputs, "amount"), **texts, back=back)
    paid = await pay(ctx, wish)
    payment, answer = paid.payment, paid.answer
    told = {"redirect": answer.redirect, "qr": answer.qr, "token": answer.token, "receipt": payment.receipt}
    outputs = [("payment", payment.id), ("state", payment.state), ("amount", payment.amount.as_fhir())]
    outputs += [(name, value) for name, value in told.items() if value]
    if payment.state in MOVED:
        outputs.append(("notice", await ctx.own.read("PaymentNotice", notice_id(payment))))
    return Outputs(outputs)


OPERATION = Operation(FACTS, run, "Pay an invoice, in part or in whole.")
