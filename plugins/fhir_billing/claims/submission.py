"""Submission: a Claim on its way to an answer: decided by a table, sent to a payer, or laid before a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fhir_billing.adjudication.results import ZERO, Result
from fhir_billing.claims.bookings import Parties
from fhir_billing.claims.deciding import by_table, months, prints
from fhir_billing.claims.desk import Desk
from fhir_billing.claims.gathering import Gathered, gather
from fhir_billing.claims.identity import digest, identity_change, identity_of
from fhir_billing.claims.records import AUTHORIZATIONS, CLAIMS, IDENTITIES, OPEN, ClaimRecord, State, claim_record
from fhir_billing.claims.response import Heading, response
from fhir_billing.claims.standing import Standing, read, seen_of
from fhir_billing.claims.writing import Draft, Matter, asked, bill, decide, pend, put, share_is_free, undo, withdraw
from fhir_billing.ledger import book, owned, owner_change
from fhir_billing.ledger.booking import Booking
from fhir_billing.x12.values import control_number
from fhir_server.plugin_api import (
    Conflict,
    InvalidResource,
    Issue,
    PluginContext,
    RecordChange,
    encode,
    instant,
)


class Known(Exception):
    """The same claim was submitted before; `response` is the id of its answer."""

    def __init__(self, response: str) -> None:
        super().__init__("submitted before")
        self.response = response


async def submitted(ctx: PluginContext, desk: Desk, claim: Mapping[str, Any]) -> bytes:
    """Submit a claim; return its ClaimResponse as JSON, also when the same claim was submitted before.

    Raises:
        InvalidResource: it has faults, each with its place.
        Conflict: another claim with its identifier was submitted, or it refers to one that cannot be replaced now.
    """
    gathered = await gather(ctx, desk, claim)
    submission = Submission(ctx, desk, gathered, await _version(ctx, gathered))
    try:
        versions = await book(ctx, submission.plan)
    except Known as known:
        return encode(await ctx.own.read("ClaimResponse", known.response))
    return next(each for each in versions if each.key.type == "ClaimResponse").stamped()


async def _version(ctx: PluginContext, gathered: Gathered) -> tuple[str, int]:
    """Return the id under which a claim is kept, and the version that is there: its own where it is stored already."""
    claim = gathered.taken.resource
    given = str(claim.get("id", ""))
    stored = await ctx.client.find("Claim", given) if given else None
    if stored is None:
        return ctx.new_id(), 0
    if digest(stored) != digest(claim) or stored.get("identifier") != claim.get("identifier"):
        text = f"Claim/{given} is stored and says something else: submit it as it is stored, or without an id"
        raise Conflict(text, expression="Claim.id")
    return given, int(stored["meta"]["versionId"])


@dataclass(slots=True)
class Submission:
    """One claim that is submitted. `plan` is called anew when somebody else was faster.

    refused: lines that a person refused; reviewed: whether a person looked at it.
    """

    ctx: PluginContext
    desk: Desk
    gathered: Gathered
    at: tuple[str, int]
    refused: Mapping[int, str] = field(default_factory=dict)
    reviewed: bool = False
    authorization: str = ""

    async def plan(self) -> Booking:
        """Return all that is written. Raises Known, Conflict, InvalidResource."""
        ctx, taken = self.ctx, self.gathered.taken
        record = claim_record(self.at[0], None if self._is_new else await ctx.store.get(CLAIMS.name, self.at[0]))
        draft = Draft()
        if not self.reviewed:
            await self._identify(draft, record)
        previous, follows = await self._previous()
        standing = await self._standing(previous)
        if previous is not None and not self._waits(previous):
            await share_is_free(ctx, previous)
            await undo(ctx, draft, previous, "replaced", standing)
        matter = self._matter(record, {"follows": follows, "replacing": previous.id if previous else ""})
        draft.puts.append(put(self._stored(), self.at[1], trusted=self.reviewed))
        entries = await bill(ctx, draft, matter, asked(taken.lines, taken.currency), self.gathered.earlier)
        notes: dict[str, Any] = {"entries": [*record.value.get("entries", ()), *entries]}
        draft.records.append(await self._owned())
        if self.gathered.payer:
            notes |= pend(ctx, draft, matter, "The claim is on its way to the payer.")
            state: State = "queued"
            notes |= {"due": ctx.now(), "attempts": 0}
        else:
            state = await self._by_table(draft, matter, standing, notes)
        if previous is not None:
            notes["replaces"] = previous.id
            if state == "decided":
                await withdraw(ctx, draft, previous)
                draft.records.append(previous.change("replaced", replaced_by=self.at[0]))
        draft.records.append(record.change(state, **{**self._facts(), **notes}))
        draft.records += standing.changes()
        return draft.booking()

    async def _owned(self) -> RecordChange:
        """Return what makes the Claim a document of the books; what is noted of it already stays."""
        name, cover = f"Claim/{self.at[0]}", self.gathered.cover
        facts = {"at": self.ctx.now(), "party": cover.payor, "patient": cover.patient}
        noted = (None if self._is_new else await owned(self.ctx.store, name)) or {}
        kind = str(noted.pop("kind", "claim"))
        return owner_change(name, kind, **(facts | noted))

    async def _identify(self, draft: Draft, record: ClaimRecord) -> None:
        ctx, claim = self.ctx, self.gathered.taken.resource
        key, content = identity_of(claim, self.gathered.cover.payor), digest(claim)
        known = await ctx.store.get(IDENTITIES.name, key)
        if known is not None:
            value: Any = known.value
            before = claim_record(value["claim"], await ctx.store.get(CLAIMS.name, value["claim"]))
            if before.state not in ("cancelled", "replaced", "refused"):
                if value["digest"] == content:
                    raise Known(str(before.value["response"]))
                raise Conflict(
                    f"Claim/{before.id} was submitted with this identifier and says something else; a correction has "
                    "an identifier of its own and names it in Claim.related as `replaces`",
                    expression="Claim.identifier[0]",
                )
        if record.state:
            raise Conflict(f"Claim/{record.id} was submitted before and is {record.state}", expression="Claim.id")
        draft.records.append(identity_change(key, self.at[0], content, known.revision if known else 0))

    async def _previous(self) -> tuple[ClaimRecord | None, list[str]]:
        """Return the claim that this one replaces or appeals, and those that it follows after a denial."""
        found, follows = None, []
        for number, (relation, id_) in enumerate(self.gathered.taken.related):
            if relation not in ("replaces", "appeal", "resubmission"):
                continue
            place = f"Claim.related[{number}].claim"
            before = claim_record(id_, await self.ctx.store.get(CLAIMS.name, id_))
            if before.value.get("coverage") != self.gathered.cover.id:
                raise _unfit("there is no such claim on this coverage", place)
            if before.state not in ("decided", "refused"):
                raise Conflict(f"the claim is {before.state}: wait for its answer, or cancel it", expression=place)
            if relation == "resubmission":
                follows.append(id_)
            else:
                found = before
        return found, follows

    async def _standing(self, previous: ClaimRecord | None) -> Standing:
        spans = months(self.gathered) | set((previous.value if previous else {}).get("seen", {}).values())
        numbers = {line.authorization for line in self.gathered.taken.lines}
        numbers |= set((previous.value if previous else {}).get("spent", {}))
        return await read(self.ctx.store, self.gathered.cover, spans, numbers)

    def _waits(self, previous: ClaimRecord) -> bool:
        """Tell whether what is replaced stays in force until there is an answer."""
        return bool(self.gathered.payer) or (self._is_appeal and not self.reviewed)

    @property
    def _is_new(self) -> bool:
        """Tell whether its id is one that was made for it now, so that nothing can be known of it."""
        return self.at[1] == 0

    @property
    def _is_appeal(self) -> bool:
        return any(relation == "appeal" for relation, _ in self.gathered.taken.related)

    def _matter(self, record: ClaimRecord, before: dict[str, Any]) -> Matter:
        cover = self.gathered.cover
        payer = cover.payor or "Organization/unknown"
        parties = Parties(self.at[0], payer, cover.patient, int(record.value.get("decisions", 0)) + 1)
        noted = ClaimRecord(record.id, {**record.value, **before}, record.revision)
        return Matter(self._stored(), self.at[1], noted, parties, self._insurer())

    def _insurer(self) -> Mapping[str, Any]:
        given: Mapping[str, Any] = (
            self.gathered.taken.resource.get("insurer") or self.gathered.cover.resource["payor"][0]
        )
        return given

    def _stored(self) -> dict[str, Any]:
        return {**self.gathered.taken.resource, "id": self.at[0]}

    async def _by_table(self, draft: Draft, matter: Matter, standing: Standing, notes: dict[str, Any]) -> State:
        result = by_table(self.desk.plans, self.gathered, standing, self.refused)
        if (result.review or self._is_appeal) and not self.reviewed and matter.use == "claim":
            notes |= pend(self.ctx, draft, matter, "A person looks at the claim.")
            return "review"
        if matter.use != "claim":
            notes |= self._authorize(draft, matter, result)
            return "decided"
        answered = decide(self.ctx, draft, matter, result, in_network=self.gathered.in_network)
        if decision := answered.pop("decision", ""):
            notes["entries"] = [*notes["entries"], decision]
        lines = self.gathered.taken.lines
        seen = seen_of(result, lines, prints(self.gathered, standing))
        standing.add(result.used)
        standing.claim(seen, self.at[0])
        standing.spend(result.spent)
        notes |= answered | {
            "used": {name: str(amount) for name, amount in result.used.items()},
            "seen": seen,
            "spent": {number: [str(a), str(b)] for number, (a, b) in result.spent.items()},
        }
        return "decided"

    def _authorize(self, draft: Draft, matter: Matter, result: Result) -> dict[str, Any]:
        """Write the answer to a preauthorization or predetermination: nothing is booked and nothing is used up."""
        ctx, lines = self.ctx, self.gathered.taken.lines
        granted = {line.sequence for line in result.lines if not line.denied}
        number, period = "", None
        if matter.use == "preauthorization" and granted:
            self.authorization = number = self.authorization or f"PA{ctx.new_id().replace('-', '')[-12:].upper()}"
            first = min(line.serviced for line in lines)
            period = (first.isoformat(), (first + timedelta(days=ctx.settings.authorization_days)).isoformat())
            draft.records.append(self._granted(number, period, granted))
        answer_id = matter.record.value.get("response") or ctx.new_id()
        heading = Heading(answer_id, instant(ctx.now()), matter.insurer, number, period)
        version = int(matter.record.value.get("response_version", 0))
        draft.puts.append(put(response(matter.claim, heading, result), version))
        draft.records.append(
            owner_change(f"ClaimResponse/{answer_id}", "authorization", patient=matter.parties.patient)
        )
        return {"response": answer_id, "response_version": version + 1, "authorization": number, "decided": ctx.now()}

    def _granted(self, number: str, period: tuple[str, str], granted: set[int]) -> RecordChange:
        lines = [line for line in self.gathered.taken.lines if line.sequence in granted]
        value = {
            "coverage": self.gathered.cover.id, "patient": self.gathered.cover.patient, "claim": self.at[0],
            "codes": sorted({code for line in lines for code in line.codes}), "start": period[0], "end": period[1],
            "units": str(sum((line.quantity for line in lines), ZERO)), "amount": None,
        }  # fmt: skip
        return RecordChange(AUTHORIZATIONS.name, number, value, expected=0)

    def _facts(self) -> dict[str, Any]:
        taken, cover = self.gathered.taken, self.gathered.cover
        return {
            "payer": self.gathered.payer or "table", "payor": cover.payor, "patient": cover.patient,
            "coverage": cover.id, "plan": cover.plan, "use": taken.use, "currency": taken.currency,
            "submitted": str(taken.total.amount), "number": control_number(self.at[0]), "received": self.ctx.now(),
            "asked": {str(line.sequence): str(line.charge) for line in taken.lines},
        }  # fmt: skip


def is_open(record: ClaimRecord) -> bool:
    """Tell whether a claim waits for an answer."""
    return record.state in OPEN


def _unfit(text: str, place: str) -> InvalidResource:
    return InvalidResource(text, issues=[Issue(text, "not-found", expression=(place,))])
