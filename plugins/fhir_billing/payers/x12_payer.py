"""X12Payer: payers in the United States by X12: 837 out, 999 and 277 back, 276 to ask, 835 for what was paid."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zlib import crc32

import httpx

from fhir_billing.coverage.cover import day_of
from fhir_billing.payers.http import PayerClient
from fhir_billing.payers.payer import Answered, Cancelled, NotThere, Parcel, Pended, Refused, Reply, Unclear
from fhir_billing.payers.settings import PayerSettings
from fhir_billing.payers.x12_answers import answer_of, authorization_of, eligibility_of
from fhir_billing.payers.x12_claims import asker_of, batch_of, submitted_of
from fhir_billing.x12.acknowledgment import read_999
from fhir_billing.x12.claim import build_837
from fhir_billing.x12.envelope import Address, BadEnvelope, Transaction, parse, wrap
from fhir_billing.x12.inquiries import Status, build_270, build_276, build_278, read_277, read_278_answer
from fhir_billing.x12.remittance import BadRemittance, Remittance, remittance
from fhir_billing.x12.shapes import check
from fhir_billing.x12.values import BadElement

_MEDIA = "application/edi-x12"


class X12Payer:
    """Posts interchanges and reads those that come back."""

    def __init__(
        self, name: str, settings: PayerSettings, timeout: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name, self.settings = name, settings
        self._client = PayerClient(settings, timeout, transport)

    async def submit(self, parcel: Parcel) -> Reply:
        """Send a claim (837) or a request for authorization (278)."""
        claim = submitted_of(parcel)
        if parcel.claim["use"] != "claim":
            asker = asker_of(parcel, self.settings)
            sent = build_278(asker, parcel.key, _times(parcel.created), claim.services, claim.diagnoses)
        else:
            sent = build_837(batch_of(parcel, self.settings), parcel.key, _times(parcel.created))
        return self._reply(await self._exchange(sent, parcel), parcel)

    async def inquire(self, parcel: Parcel) -> Reply:
        """Ask where a claim stands (276)."""
        if parcel.claim["use"] != "claim":
            return await self.submit(parcel)  # a 278 that comes again is the question about itself
        claim = submitted_of(parcel)
        days = sorted(each.serviced for each in claim.services)
        asker = asker_of(parcel, self.settings)
        now = _times(parcel.created)
        asked = build_276(asker, claim.number, now, claim.total, (days[0], days[-1]), parcel.trace)
        return self._reply(await self._exchange(asked, parcel), parcel)

    async def cancel(self, parcel: Parcel) -> Reply:
        """Void a claim: it is sent with frequency 8, under the number that the payer gave it."""
        if not parcel.trace:
            found = await self.inquire(parcel)
            if not isinstance(found, Pended) or not found.trace:
                return found
            parcel = replace(parcel, trace=found.trace)
        batch = batch_of(parcel, self.settings, frequency="8", original=parcel.trace)
        back = await self._exchange(build_837(batch, parcel.key, _times(parcel.created)), parcel)
        taken_back = [paid for each in self._remittances(back) for paid in each.claims if paid.is_reversal]
        if any(each.claim == batch.claims[0].number for each in taken_back):
            return Cancelled()
        return self._reply(back, parcel)

    async def eligibility(
        self, request: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Ask what a coverage is good for (270) and return it as a CoverageEligibilityResponse."""
        coverage = str(request["insurance"][0]["coverage"]["reference"])
        parcel = Parcel(request, resources, str(request["id"]), str(request["created"]), coverage=coverage)
        on = day_of(request.get("servicedDate") or request.get("created"), date.max)
        asked = build_270(asker_of(parcel, self.settings), parcel.key[:30], _times(parcel.created), on)
        transactions = await self._exchange(asked, parcel)
        found = next((each for each in transactions if each.kind == "271"), None)
        if found is None:
            raise Unclear("the payer's answer holds no 271")
        try:
            return eligibility_of(found)
        except BadElement as error:
            raise Unclear(f"the payer's 271 cannot be read: {error}") from error

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    async def _exchange(self, sent: Transaction, parcel: Parcel) -> list[Transaction]:
        """Post an interchange; return the transactions of what came back. Raises Unclear."""
        address = Address(self.settings.sender, self.settings.receiver, self.settings.usage)
        number = crc32(f"{parcel.key}|{sent.kind}|{parcel.attempt}".encode()) % 999_999_999 + 1
        raw = wrap(address, [sent], _instant(parcel.created), number)
        answer = await self._client.post("", raw, _MEDIA, {"idempotency-key": parcel.key})
        if not answer.is_success:
            raise Unclear(f"the payer answered {answer.status_code}")
        try:
            interchanges = parse(answer.content)
        except BadEnvelope as error:
            raise Unclear(f"the payer's answer cannot be read: {error}") from error
        transactions = [each for interchange in interchanges for each in interchange.transactions]
        faults = [fault.text for each in interchanges for fault in each.faults]
        faults += [fault.text for each in transactions for fault in check(each)]
        if faults:
            raise Unclear(f"the payer's answer is damaged: {faults[0]}")
        return transactions

    def _reply(self, transactions: Sequence[Transaction], parcel: Parcel) -> Reply:
        """Return what came back means. Raises Unclear: an element of it is not what it has to be."""
        try:
            return self._decisive(transactions, parcel)
        except BadElement as error:
            raise Unclear(f"the payer's answer cannot be read: {error}") from error

    def _decisive(self, transactions: Sequence[Transaction], parcel: Parcel) -> Reply:
        """Return what the most decisive transaction says: 835, 278, 277, 999."""
        if (paid := self._paid(transactions, parcel)) is not None:
            return paid
        for each in transactions:
            if each.kind == "278":
                return authorization_of(list(read_278_answer(each)), parcel)
        if (status := self._status(transactions, parcel)) is not None:
            return status
        if any(each.kind == "999" for each in transactions):
            faults = [fault for each in transactions if each.kind == "999" for fault in _refused(each)]
            return Refused(tuple(faults)) if faults else Pended("", "The payer took the file; its decision is awaited.")
        raise Unclear("the payer's answer says nothing about the claim")

    def _paid(self, transactions: Sequence[Transaction], parcel: Parcel) -> Reply | None:
        found = [
            paid
            for each in self._remittances(transactions)
            for paid in each.claims
            if paid.claim == submitted_of(parcel).number
        ]
        decisive = [each for each in found if not each.is_reversal]
        if not decisive:
            return None
        return Answered(answer_of(decisive[-1], parcel), decisive[-1].payer_control)

    def _remittances(self, transactions: Sequence[Transaction]) -> list[Remittance]:
        try:
            return [remittance(each) for each in transactions if each.kind == "835"]
        except (BadRemittance, BadElement) as error:
            raise Unclear(f"the remittance is not taken: {error}") from error

    def _status(self, transactions: Sequence[Transaction], parcel: Parcel) -> Reply | None:
        number = submitted_of(parcel).number
        for each in transactions:
            for status in read_277(each) if each.kind == "277" else ():
                if status.claim == number:
                    return _meaning(status)
        return None


def _meaning(status: Status) -> Reply:
    if status.not_found:
        return NotThere()
    if status.refused:
        return Refused((f"the payer does not take the claim: status {status.category} {status.code}",))
    why = "Decided; the remittance is awaited." if status.final else "The payer has the claim and has not decided yet."
    return Pended(status.payer_control, why)


def _refused(transaction: Transaction) -> Iterator[str]:
    for each in read_999(transaction):
        if not each.taken:
            yield "the file was not taken: " + ("; ".join(each.faults) or "no reason given")


def _instant(text: str) -> datetime:
    whole = text if "T" in text else f"{text}T00:00:00Z"
    return datetime.fromisoformat(whole.replace("Z", "+00:00")).astimezone(UTC).replace(tzinfo=None)


def _times(text: str) -> tuple[str, str]:
    made = _instant(text)
    return f"{made:%Y%m%d}", f"{made:%H%M}"
