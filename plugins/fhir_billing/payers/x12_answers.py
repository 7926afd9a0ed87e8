"""Answers of X12 as FHIR: an 835 as ClaimResponse, a 278 as one with its number, a 271 as an eligibility response."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fhir_billing.adjudication.reasons import REASONS
from fhir_billing.claims.codes import CARC, GROUP, category
from fhir_billing.claims.intake import take
from fhir_billing.payers.payer import Answered, Parcel, Pended, Refused, Reply, Unclear
from fhir_billing.x12.envelope import Transaction
from fhir_billing.x12.inquiries import Benefit271, Reviewed, read_271
from fhir_billing.x12.remittance import Adjusted, Paid, PaidLine

_TYPE = "http://terminology.hl7.org/CodeSystem/benefit-type"
_FHIR_TYPE = {"copay": "copay", "coinsurance": "copay-percent", "deductible": "deductible", "limit": "benefit"}
_CERTIFIED = ("A1", "A2", "A6")


def answer_of(paid: Paid, parcel: Parcel) -> dict[str, Any]:
    """Return what an 835 says of a claim as a ClaimResponse. Raises Unclear: its lines are not those of the claim."""
    taken = take(parcel.claim)
    lines = _matched(paid, {line.sequence: (line.code.rpartition("|")[2].upper(), line.charge) for line in taken.lines})
    shared = _shared(paid.adjustments, lines)
    return {
        "resourceType": "ClaimResponse",
        "identifier": [{"value": paid.payer_control}] if paid.payer_control else [],
        "request": {"reference": f"Claim/{parcel.claim['id']}"},
        "outcome": "complete",
        "disposition": _disposition(paid),
        "item": [
            {"itemSequence": sequence, "adjudication": [*_adjudication(line), *_reasons(shared.get(sequence, ()))]}
            for sequence, line in sorted(lines.items())
        ],
    }


def _disposition(paid: Paid) -> str:
    said = {"4": "Denied.", "22": "Taken back."}.get(paid.status, "Processed.")
    return f"{said} {paid.paid} of {paid.charged} was paid."


def _matched(paid: Paid, asked: Mapping[int, tuple[str, Decimal]]) -> dict[int, PaidLine]:
    """Return the services by our line: by the number that we gave, else by code and charge if only one fits."""
    if not paid.lines:
        return dict(_spread(paid, asked))
    found: dict[int, PaidLine] = {}
    for line in paid.lines:
        numbered = int(line.control) if line.control.isdigit() and int(line.control) in asked else None
        fitting = [
            sequence
            for sequence, (code, charge) in asked.items()
            if sequence not in found and code == line.code and charge == line.charged.amount
        ]
        sequence = numbered if numbered is not None else fitting[0] if fitting else None
        if sequence is None or sequence in found:
            raise Unclear(f"the remittance has a service {line.code} that is not in the claim")
        found[sequence] = line
    return found


def _spread(paid: Paid, asked: Mapping[int, tuple[str, Decimal]]) -> Iterator[tuple[int, PaidLine]]:
    """Yield lines for a claim that was settled as a whole: only a claim with one line, or nothing paid, is clear."""
    if len(asked) > 1 and paid.paid:
        raise Unclear("the remittance settles the claim as a whole, and it has several lines")
    for sequence, (code, charge) in asked.items():
        money = type(paid.charged)(charge, paid.charged.currency)
        yield sequence, PaidLine(code, (), money, paid.paid if len(asked) == 1 else money - money)


def _shared(adjustments: Sequence[Adjusted], lines: Mapping[int, PaidLine]) -> dict[int, list[Adjusted]]:
    """Return adjustments of the claim as those of its lines: each line takes what it is still short of."""
    found: dict[int, list[Adjusted]] = {}
    rest = {
        sequence: line.charged.amount - line.paid.amount - sum(each.amount.amount for each in line.adjustments)
        for sequence, line in lines.items()
    }
    for each in adjustments:
        left = each.amount.amount
        for sequence in rest:
            part = min(left, rest[sequence])
            if part > 0:
                money = type(each.amount)(part, each.amount.currency)
                found.setdefault(sequence, []).append(Adjusted(each.group, each.reason, money))
                rest[sequence] -= part
                left -= part
        if left:
            raise Unclear("an adjustment of the whole claim does not fit its lines")
    return found


def _adjudication(line: PaidLine) -> Iterator[dict[str, Any]]:
    yield {"category": category("submitted"), "amount": line.charged.as_fhir()}
    if line.allowed is not None:
        yield {"category": category("allowed"), "amount": line.allowed.as_fhir()}
    yield {"category": category("paid"), "amount": line.paid.as_fhir()}
    yield from _reasons(line.adjustments)


def _reasons(adjustments: Sequence[Adjusted]) -> Iterator[dict[str, Any]]:
    for each in adjustments:
        if not each.amount:
            continue
        known = REASONS.get(each.reason)
        name = known.category if known else "contractual" if each.group == "CO" else "noncovered"
        codes = [{"system": CARC, "code": each.reason}, {"system": GROUP, "code": each.group}]
        text = known.text if known else f"Reason {each.reason} of the payer."
        yield {"category": category(name), "reason": {"coding": codes, "text": text}, "amount": each.amount.as_fhir()}


def authorization_of(reviewed: Sequence[Reviewed], parcel: Parcel) -> Reply:
    """Return what a 278 says. Raises Unclear: it says nothing."""
    if not reviewed:
        raise Unclear("the payer's 278 holds no decision")
    one = reviewed[0]
    if one.action == "A4":
        return Pended(one.number, "The payer reviews the request.")
    if one.action == "AAA":
        return Refused((f"the payer does not take the request: reason {one.reason}",))
    granted = one.action in _CERTIFIED
    found: dict[str, Any] = {
        "resourceType": "ClaimResponse",
        "request": {"reference": f"Claim/{parcel.claim['id']}"},
        "outcome": "complete",
        "disposition": "Authorized." if granted else f"Not authorized: reason {one.reason or 'not given'}.",
    }
    if granted and one.number:
        found["preAuthRef"] = one.number
        if one.until:
            found["preAuthPeriod"] = {"end": one.until.isoformat()}
    return Answered(found, one.number)


def eligibility_of(transaction: Transaction) -> dict[str, Any]:
    """Return a 271 as the contents of a CoverageEligibilityResponse."""
    benefits, rejected = read_271(transaction)
    if rejected:
        codes = [{"code": {"text": f"The payer does not know the member: reason {code}"}} for code in rejected]
        return {"outcome": "error", "disposition": "The payer did not answer the question.", "error": codes}
    active = any(each.kind == "active" for each in benefits)
    items = [{"name": each.kind, "benefit": [_benefit(each)]} for each in benefits if each.kind in _FHIR_TYPE]
    insurance = {"inforce": active, **({"item": items} if items else {})}
    return {"outcome": "complete", "insurance": [insurance]}


def _benefit(one: Benefit271) -> dict[str, Any]:
    kind = {"coding": [{"system": _TYPE, "code": _FHIR_TYPE[one.kind]}], "text": "left" if one.remaining else one.kind}
    if one.percent is not None:
        return {"type": kind, "allowedUnsignedInt": int(one.percent)}
    return {"type": kind, "allowedMoney": {"value": one.money or Decimal(0), "currency": "USD"}}
