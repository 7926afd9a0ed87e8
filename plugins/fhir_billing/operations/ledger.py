"""`Invoice/$ledger`: what accounts stand at, and the proof that the books are in order."""

from collections.abc import Sequence

from fhir_billing.ledger import ENTRIES, Entry, balances, entries_about, prove
from fhir_billing.ledger.entry import entry_from
from fhir_billing.money import Money
from fhir_billing.operations.authority import for_the_books, withheld
from fhir_billing.operations.definitions import MONEY, definition, part, parts
from fhir_billing.payments.records import payment_of
from fhir_server.plugin_api import Call, Operation, Outputs, PluginContext, instant

_MOST = 1_000

FACTS = definition(
    "ledger", ("Invoice",), "Look into the books",
    [
        part("account", "string", "Only accounts below this path: receivable, cash/..."),
        part("about", "string", "The entries about a document, `Invoice/1`, instead."),
        part("payment", "string", "The state of one payment, besides."),
        part("lines", "code", "`all`: the newest 1,000 entries line by line, besides."),
    ],
    [
        part("in-order", "boolean", "Whether every currency sums to zero, and balances are what the entries come to."),
        part("entries", "integer", "How many entries there are."),
        part("payment", "code", "The state of the payment that was asked for."),
        parts("balance", "An account that is not at zero.", [
            part("account", "string", "Its path.", least=1), part("amount", MONEY, "Debits less credits.", least=1),
        ]),
        parts("line", "A line of an entry.", [
            part("entry", "string", "The key of the entry.", least=1), part("kind", "code", "Its kind.", least=1),
            part("at", "instant", "When.", least=1), part("account", "string", "The account.", least=1),
            part("amount", MONEY, "A debit is above zero, a credit below.", least=1),
        ]),
    ],
    changes=False,
)  # fmt: skip


async def run(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call: it shows whole books, so it is for those who may see all invoices."""
    about = call.inputs.one("about")
    if about:
        return Outputs([("line", row) for row in await _lines(ctx, str(about))])
    outputs: list[tuple[str, object]] = []
    if call.inputs.one("payment"):
        found = await payment_of(ctx.store, str(call.inputs.one("payment")))
        outputs += [("payment", found.state)] if found else []
    prefix = str(call.inputs.one("account", ""))
    if not prefix:
        proof = await prove(ctx.store)
        outputs += [("in-order", proof.holds), ("entries", proof.entries)]
    for account, amount in await _balances(ctx, prefix):
        outputs.append(("balance", [("account", account), ("amount", amount.as_fhir())]))
    if call.inputs.one("lines") == "all":
        outputs += [("line", row) for row in await _newest(ctx)]
    return Outputs(outputs)


async def _balances(ctx: PluginContext, prefix: str) -> list[tuple[str, Money]]:
    """Return the accounts that are not at zero. Those of patients who are hidden from the caller are one of each kind,
    so that all still sum up; where accounts of some are asked for they are left out."""
    found = {key: amount for key, amount in sorted((await balances(ctx.store, prefix)).items()) if amount}
    hidden = await withheld(ctx, (account for account, _ in found))
    sums: dict[tuple[str, str], Money] = {}
    for (account, currency), amount in found.items():
        if account in hidden and "/" in prefix:
            continue
        key = (_shown(account, hidden), currency)
        sums[key] = sums[key] + amount if key in sums else amount
    return [(account, amount) for (account, _), amount in sums.items()]


def _shown(account: str, hidden: frozenset[str]) -> str:
    return f"{account.partition('/')[0]}/withheld" if account in hidden else account


async def _newest(ctx: PluginContext) -> list[list[tuple[str, object]]]:
    found = await ctx.store.find(ENTRIES.name, order="-at", limit=_MOST)
    pairs = [(int(str(each.value["at"])), entry_from(each.key, each.value)) for each in reversed(found)]
    return await _rows(ctx, pairs)


async def _lines(ctx: PluginContext, about: str) -> list[list[tuple[str, object]]]:
    return await _rows(ctx, await entries_about(ctx.store, about))


async def _rows(ctx: PluginContext, found: Sequence[tuple[int, Entry]]) -> list[list[tuple[str, object]]]:
    """Return the lines of entries; those of an entry with an account that is hidden from the caller are left out."""
    hidden = await withheld(ctx, {each.account for _, entry in found for each in entry.postings})
    return [
        [("entry", entry.key), ("kind", entry.kind), ("at", instant(at)), ("account", each.account),
         ("amount", each.amount.as_fhir())]
        for at, entry in found
        if not any(each.account in hidden for each in entry.postings)
        for each in entry.postings
    ]  # fmt: skip


OPERATION = Operation(FACTS, for_the_books(run), "What accounts stand at; whether the books are in order.")
