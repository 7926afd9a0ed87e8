"""`Invoice/$exchange-rate`: notes a rate of exchange, with its source."""

from decimal import Decimal

from fhir_billing.money import MoneyFault, exponent_of
from fhir_billing.operations.authority import for_staff
from fhir_billing.operations.definitions import definition, part
from fhir_billing.payments.rates import Rate, noted
from fhir_server.plugin_api import Call, Operation, Outputs, PluginContext

FACTS = definition(
    "exchange-rate", ("Invoice",), "Note a rate of exchange",
    [
        part("base", "code", "The currency of which one unit ...", least=1),
        part("quote", "code", "... is so many of this one.", least=1),
        part("rate", "decimal", "How many.", least=1),
        part("source", "string", "Who says so.", least=1),
    ],
    [part("id", "string", "The id of the rate, as it will stand on documents.", least=1)],
)  # fmt: skip
_MOST = Decimal("1e9")


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call."""
    inputs = call.inputs
    base, quote, rate = str(inputs.one("base")), str(inputs.one("quote")), Decimal(inputs.one("rate"))
    exponent_of(base), exponent_of(quote)
    if base == quote or not 1 / _MOST < rate < _MOST:
        raise MoneyFault("a rate is above zero and between two currencies", expression="http.rate")
    made = Rate(ctx.new_id(), base, quote, rate, str(inputs.one("source"))[:200], ctx.now())
    await ctx.store.put(noted(made))
    return Outputs([("id", made.id)])


OPERATION = Operation(FACTS, for_staff(run), "Note a rate of exchange, with its source.")
