"""Writing: a claim's next state as one commit: the documents, the entries, the tallies and where it stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_billing.adjudication.results import Result
from fhir_billing.claims.benefit import explanation
from fhir_billing.claims.bookings import Parties, billed, decided
from fhir_billing.claims.records import ClaimRecord
from fhir_billing.claims.response import Heading, head, response
from fhir_billing.claims.standing import Standing
from fhir_billing.ledger import Entry, Posting, accounts, balance, credit, entry_of, owned, owner_change, reversal
from fhir_billing.ledger.booking import Booking
from fhir_billing.money import Money
from fhir_server.plugin_api import Conflict, PluginContext, Put, RecordChange, instant


@dataclass(slots=True)
class Draft:
    """What a commit will hold, while it is gathered."""

    entries: list[Entry] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    records: list[RecordChange] = field(default_factory=list)

    def booking(self) -> Booking:
        """Return it as the ledger takes it."""
        return Booking(self.entries, self.puts, self.records)


@dataclass(frozen=True, slots=True)
class Matter:
    """A claim that is written about. claim: with its id; version: the one it was read at, 0 for a new one."""

    claim: Mapping[str, Any]
    version: int
    record: ClaimRecord
    parties: Parties
    insurer: Mapping[str, Any]

    @property
    def use(self) -> str:
        """What it is for."""
        return str(self.claim.get("use", ""))


def put(resource: Mapping[str, Any], version: int = 0, *, trusted: bool = True) -> Put:
    """Return the put of a document of ours, without what the server stamps."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return Put({**rest, "meta": meta} if meta else rest, version, trusted)


async def bill(
    ctx: PluginContext, draft: Draft, matter: Matter, amount: Money, earlier: Iterable[tuple[str, str]] = ()
) -> list[str]:
    """Book that a payer is asked for an amount, unless that is booked; return the keys of the entries.

    Args:
        earlier: answers of payers before, as ids of ClaimResponse and Claim: what they left to the patient is asked
            of this payer now.
    """
    parties = matter.parties
    if matter.use != "claim" or not amount:
        return []
    if matter.version and await entry_of(ctx.store, f"claim|{parties.claim}") is not None:
        return [f"claim|{parties.claim}"]
    sources, rest = await _as_before(ctx, matter, amount)
    for answer, claim in earlier:
        if await owned(ctx.store, f"ClaimResponse/{answer}") is not None and rest:
            sources.append(credit(accounts.receivable(f"Patient/{parties.patient}", claim), rest))
            rest = rest - rest
    for claim in matter.record.value.get("follows", ()):
        left = await balance(ctx.store, accounts.receivable(parties.payer, f"{claim}.denied"), amount.currency)
        taken = min(left, rest)
        if taken and taken.amount > 0:
            sources.append(credit(accounts.receivable(parties.payer, f"{claim}.denied"), taken))
            rest = rest - taken
    entry = billed(parties, amount, sources)
    draft.entries.append(entry)
    return [entry.key]


async def _as_before(ctx: PluginContext, matter: Matter, amount: Money) -> tuple[list[Posting], Money]:
    """Return what a claim that takes the place of another is credited to as that one was, and what is left to book."""
    replacing = matter.record.value.get("replacing", "")
    before = await entry_of(ctx.store, f"claim|{replacing}") if replacing else None
    sources, rest = list[Posting](), amount
    for each in before.postings if before is not None else ():
        taken = min(-each.amount, rest) if each.amount.amount < 0 else rest - rest
        if taken and not each.account.startswith("revenue"):
            sources.append(credit(each.account, taken))
            rest = rest - taken
    return sources, rest


def asked(claim: Iterable[Any], currency: str) -> Money:
    """Return what a payer is asked for: what earlier ones left, or the charge."""
    amounts = (min(each.earlier.patient, each.charge) if each.earlier is not None else each.charge for each in claim)
    return Money(sum(amounts, Decimal(0)), currency)


def decide(
    ctx: PluginContext, draft: Draft, matter: Matter, result: Result, *, in_network: bool = True
) -> dict[str, Any]:
    """Write the answer to a claim, its explanation and its entry; return what the record notes."""
    record = matter.record
    answer_id, eob_id = record.value.get("response") or ctx.new_id(), record.value.get("eob") or ctx.new_id()
    created = instant(ctx.now())
    heading = Heading(answer_id, created, matter.insurer)
    answer = response(matter.claim, heading, result)
    draft.puts.append(put(answer, int(record.value.get("response_version", 0))))
    notes = {
        "response": answer_id, "response_version": int(record.value.get("response_version", 0)) + 1,
        "decided": ctx.now(), "paid": str(result.paid), "owes": str(result.patient), "plan": result.plan,
        "denied": denied(result), "decisions": matter.parties.number,
    }  # fmt: skip
    if matter.use == "claim":
        eob = explanation(
            matter.claim, Heading(eob_id, created, matter.insurer), result, response=answer, in_network=in_network
        )
        draft.puts.append(put(eob, int(record.value.get("eob_version", 0))))
        notes |= {"eob": eob_id, "eob_version": int(record.value.get("eob_version", 0)) + 1}
        entry = decided(matter.parties, result, f"ClaimResponse/{answer_id}")
        if entry is not None:
            draft.entries.append(entry)
            notes["decision"] = entry.key
        draft.records.append(
            owner_change(f"ExplanationOfBenefit/{eob_id}", "explanation", patient=matter.parties.patient)
        )
    draft.records.append(owner_change(f"ClaimResponse/{answer_id}", "adjudication", patient=matter.parties.patient))
    return notes


def pend(ctx: PluginContext, draft: Draft, matter: Matter, why: str) -> dict[str, Any]:
    """Write that a claim waits; return what the record notes."""
    answer_id = matter.record.value.get("response") or ctx.new_id()
    version = int(matter.record.value.get("response_version", 0))
    draft.puts.append(
        put(head(matter.claim, Heading(answer_id, instant(ctx.now()), matter.insurer), "queued", why), version)
    )
    draft.records.append(owner_change(f"ClaimResponse/{answer_id}", "adjudication", patient=matter.parties.patient))
    return {"response": answer_id, "response_version": version + 1}


def denied(result: Result) -> list[list[str]]:
    """Return what was not paid for reasons that are no sharing of costs: group, reason, amount."""
    return [
        [each.group, each.reason, str(each.amount)]
        for line in result.lines
        for each in line.adjustments
        if each.category in ("noncovered", "payer-initiated")
    ]


async def undo(ctx: PluginContext, draft: Draft, record: ClaimRecord, why: str, standing: Standing | None) -> None:
    """Take back all that a claim brought about: its entries, and from the standing of its coverage what it used."""
    for key in dict.fromkeys(record.value.get("entries", ())):  # one that waited names its first entry twice
        entry = await entry_of(ctx.store, key)
        if entry is not None and await entry_of(ctx.store, f"{key}|reversed") is None:
            draft.entries.append(reversal(entry, why))
    if standing is not None:
        standing.add({name: Decimal(amount) for name, amount in record.value.get("used", {}).items()}, sign=-1)
        standing.unclaim(record.value.get("seen", {}))
        spent = {n: (Decimal(a), Decimal(b)) for n, (a, b) in record.value.get("spent", {}).items()}
        standing.spend({n: each for n, each in spent.items() if n in standing.granted}, sign=-1)


async def share_is_free(ctx: PluginContext, record: ClaimRecord) -> None:
    """Hold that nobody was asked yet for what fell to the patient: taken back, it would be owed on that document still.

    Raises:
        Conflict: it stands on an invoice, or on a claim to the next payer.
    """
    value = record.value
    if record.state != "decided" or value.get("use") != "claim":
        return
    account = accounts.receivable(f"Patient/{value['patient']}", record.id)
    left = await balance(ctx.store, account, str(value["currency"]))
    if left.amount < Decimal(str(value.get("owes", "0"))):
        said = "what fell to the patient stands on an invoice or on a claim to the next payer: cancel that first"
        raise Conflict(said, expression="Claim")


async def withdraw(ctx: PluginContext, draft: Draft, record: ClaimRecord, *, with_claim: bool = True) -> None:
    """Mark the documents of a claim as cancelled."""
    names = [("response", "ClaimResponse"), ("eob", "ExplanationOfBenefit")]
    keys = [(type_, str(record.value[name])) for name, type_ in names if record.value.get(name)]
    if with_claim:
        keys.append(("Claim", record.id))
    for type_, id_ in keys:
        resource = await ctx.own.find(type_, id_)
        if resource is not None and resource.get("status") != "cancelled":
            version = int(resource["meta"]["versionId"])
            draft.puts.append(put({**resource, "status": "cancelled"}, version))
