"""`$statement` of a party, and `MeasureReport/$receivables`."""

import base64

from fhir_billing.naming import date_of
from fhir_billing.operations.authority import for_the_books, hold_visible
from fhir_billing.operations.definitions import MONEY, definition, part, parts
from fhir_billing.statements.account import statement
from fhir_billing.statements.pdf import pdf
from fhir_billing.statements.receivables import as_csv, as_report, receivables
from fhir_server.plugin_api import BadValue, Call, Forbidden, Operation, Outputs, PluginContext

FACTS = definition(
    "statement", ("Patient", "Organization"), "The account of a party",
    [part("locale", "code", "Language of amounts, as `en-NG`."), part("pdf", "boolean", "Whether the PDF is made.")],
    [
        parts("row", "What was billed and paid.", [
            part("date", "date", "When.", least=1), part("what", "string", "What.", least=1),
            part("document", "string", "The document.", least=1),
            part("amount", MONEY, "Above zero: owed; below: paid.", least=1),
        ]),
        part("open", MONEY, "What is to be paid, by currency.", most="*"),
        part("credit", MONEY, "What is held for the party, by currency.", most="*"),
        part("pdf", "Binary", "The statement to print."),
    ],
    instance=True, changes=False,
)  # fmt: skip
REPORT = definition(
    "receivables", ("MeasureReport",), "What is owed by age, days in accounts receivable, denials by reason", [],
    [part("report", "MeasureReport", "The figures.", least=1), part("csv", "string", "The same as CSV.", least=1)],
    changes=False,
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$statement`."""
    party = f"{call.request.type}/{call.request.id}"
    await ctx.client.read(*party.split("/"))
    theirs = {f"Patient/{each}" for each in ctx.caller.patients}
    if ctx.core.restriction.bound and (party not in theirs if theirs else call.request.type != "Patient"):
        raise Forbidden("this is the account of somebody else", expression="http.url")
    found = await statement(ctx, party)
    await hold_visible(ctx, [row.document for row in found.rows])
    outputs: list[tuple[str, object]] = [
        ("row", [("date", row.day), ("what", row.what), ("document", row.document), ("amount", row.amount.as_fhir())])
        for row in found.rows
    ]
    outputs += [("open", money.as_fhir()) for money in found.open.values()]
    outputs += [("credit", money.as_fhir()) for money in found.credit.values()]
    if call.inputs.one("pdf"):
        outputs.append(("pdf", _binary(pdf(found, party, ctx.settings.provider, date_of(ctx.now()), _locale(call)))))
    return Outputs(outputs)


def _binary(data: bytes) -> dict[str, str]:
    return {"resourceType": "Binary", "contentType": "application/pdf", "data": base64.b64encode(data).decode()}


def _locale(call: Call) -> str:
    from babel import Locale, UnknownLocaleError

    given = str(call.inputs.one("locale", "en"))
    try:
        return str(Locale.parse(given, sep="-"))
    except (UnknownLocaleError, ValueError):
        raise BadValue(f"{given[:20]!r} is no locale", expression="http.locale") from None


async def report(ctx: PluginContext, call: Call) -> Outputs:
    """Answer `$receivables`."""
    found = await receivables(ctx)
    return Outputs([("report", as_report(found, date_of(ctx.now()))), ("csv", as_csv(found))])


OPERATIONS = (
    Operation(FACTS, run, "The account of a party, with its PDF."),
    Operation(REPORT, for_the_books(report), "Receivables by age, days in A/R, denials by reason."),
)
