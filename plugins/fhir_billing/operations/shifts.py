"""`PaymentReconciliation/$open-shift` and `$close-shift`: a cashier's drawer."""

from fhir_billing.cash.shifts import close_shift, open_shift
from fhir_billing.money import money_of
from fhir_billing.operations.authority import for_staff
from fhir_billing.operations.definitions import MONEY, definition, part, parts
from fhir_server.plugin_api import BadValue, Call, Operation, Outputs, PluginContext

ON = ("PaymentReconciliation",)
OPEN = definition(
    "open-shift", ON, "Open a cashier's shift",
    [part("point", "code", "The cash point.", least=1), part("float", MONEY, "What is put in the drawer.", most="*")],
    [part("shift", "string", "The id of the shift.", least=1)],
)  # fmt: skip
CLOSE = definition(
    "close-shift", ON, "Close a cashier's shift",
    [part("shift", "string", "The shift.", least=1), part("counted", MONEY, "What was counted.", most="*")],
    [
        parts("currency", "Each currency of the drawer.", [
            part("expected", MONEY, "What the ledger says.", least=1),
            part("counted", MONEY, "What was counted.", least=1),
            part("difference", MONEY, "What was over, or short.", least=1),
        ]),
        part("reconciliation", "PaymentReconciliation", "The document of the shift.", least=1),
    ],
)  # fmt: skip


def _cashier(ctx: PluginContext) -> str:
    return ctx.caller.subject or ctx.caller.user or ctx.caller.name


async def opened(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$open-shift`."""
    point = str(call.inputs.one("point"))
    if not point.replace("-", "").isalnum() or len(point) > 40:
        raise BadValue("a cash point is named by letters, digits and -", expression="http.point")
    floats = [money_of(each, place="http.float") for each in call.inputs.many("float")]
    return Outputs([("shift", await open_shift(ctx, point, _cashier(ctx), floats))])


async def closed(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$close-shift`."""
    shift = str(call.inputs.one("shift"))
    counted = [money_of(each, place="http.counted") for each in call.inputs.many("counted")]
    if len({each.currency for each in counted}) != len(counted):
        raise BadValue("each currency is counted once", expression="http.counted")
    result, id_ = await close_shift(ctx, shift, counted, _cashier(ctx))
    rows = [
        ("currency", [("expected", each.expected.as_fhir()), ("counted", each.counted.as_fhir()),
                      ("difference", each.difference.as_fhir())])
        for each in result
    ]  # fmt: skip
    return Outputs([*rows, ("reconciliation", await ctx.own.read("PaymentReconciliation", id_))])


OPERATIONS = (
    Operation(OPEN, for_staff(opened), "Open a cashier's shift."),
    Operation(CLOSE, for_staff(closed), "Close a cashier's shift by counting its drawer."),
)
