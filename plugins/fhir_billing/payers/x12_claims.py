"""Claims as X12 takes them: a FHIR Claim with what it refers to, as the parties and services of an 837."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from fhir_billing.claims.answers import Unreadable, result_of
from fhir_billing.claims.intake import Taken, take
from fhir_billing.coverage.cover import day_of
from fhir_billing.payers.payer import Parcel
from fhir_billing.payers.settings import PayerSettings
from fhir_billing.x12.claim import Batch, Earlier, Party, Service, Submitted, Subscriber
from fhir_billing.x12.inquiries import Asker
from fhir_billing.x12.segments import plain
from fhir_billing.x12.values import NPI, address_of, compact, control_number, gender_of, identifier, name_of

_MEDICARE = ("medicare", "00430")


def asker_of(parcel: Parcel, settings: PayerSettings) -> Asker:
    """Return who asks whom about whom."""
    return Asker(_payer(parcel), _provider(parcel, settings), _subscriber(parcel))


def batch_of(parcel: Parcel, settings: PayerSettings, *, frequency: str = "", original: str = "") -> Batch:
    """Return the 837's contents."""
    claim = submitted_of(parcel, frequency=frequency, original=original)
    provider = _provider(parcel, settings)
    submitter = Party(provider.name, settings.sender, "", "46")
    receiver = Party(_payer(parcel).name, settings.receiver, "", "46")
    return Batch(submitter, receiver, provider, _subscriber(parcel), _payer(parcel), (claim,))


def submitted_of(parcel: Parcel, *, frequency: str = "", original: str = "") -> Submitted:
    """Return the claim. Its number is made of the id of the Claim, so that the remittance finds it without guessing."""
    taken = take(parcel.claim)
    codes = {each.get("code", "") for each in parcel.claim.get("type", {}).get("coding", ())}
    earlier = _earlier(parcel, taken)
    diagnoses = tuple(dict.fromkeys(code for line in taken.lines for code in line.diagnoses))
    institutional = "institutional" in codes
    return Submitted(
        number=control_number(str(parcel.claim["id"])),
        total=taken.total.amount,
        services=tuple(_services(taken, diagnoses, earlier, institutional=institutional)),
        diagnoses=tuple(_bare(each) for each in diagnoses),
        place="13" if institutional else _place(parcel.claim),
        frequency=frequency or ("7" if parcel.replaces else "1"),
        original=original or parcel.replaces,
        authorization=next((line.authorization for line in taken.lines if line.authorization), ""),
        institutional=institutional,
        earlier_payer=Party("OTHER PAYER", _other_id(parcel), "", "PI") if earlier else None,
        earlier_paid=sum((each.paid for each in earlier.values()), Decimal("0.00")),
    )


def _services(
    taken: Taken, diagnoses: tuple[str, ...], earlier: Mapping[int, Earlier], *, institutional: bool
) -> Iterator[Service]:
    items = {item["sequence"]: item for item in taken.resource["item"]}
    for line in taken.lines:
        pointers = tuple(diagnoses.index(code) + 1 for code in line.diagnoses if code in diagnoses)
        revenue = next((each.get("code", "") for each in items[line.sequence].get("revenue", {}).get("coding", ())), "")
        yield Service(
            line.sequence, plain(_bare(line.code), 48), line.charge, line.quantity, line.serviced, line.modifiers,
            () if institutional else pointers[:4], (revenue or "0300") if institutional else "",
            earlier.get(line.sequence),
        )  # fmt: skip


def _earlier(parcel: Parcel, taken: Taken) -> dict[int, Earlier]:
    """Return what the payer before did with each line, from its ClaimResponse among the resources."""
    wanted = [each["claimResponse"]["reference"] for each in parcel.claim["insurance"] if "claimResponse" in each]
    answer = parcel.resources.get(wanted[-1]) if wanted else None
    if answer is None:
        return {}
    try:
        result = result_of(answer, {line.sequence: line.charge for line in taken.lines}, taken.currency)
    except Unreadable:
        return {}
    on = day_of(answer.get("created"), taken.created)
    return {
        line.sequence: Earlier(
            _other_id(parcel), line.paid, tuple((each.group, each.reason, each.amount) for each in line.adjustments), on
        )
        for line in result.lines
    }


def _other_id(parcel: Parcel) -> str:
    """Return the identifier of the payer before."""
    for each in parcel.claim["insurance"]:
        if not each.get("focal"):
            cover = parcel.resources.get(str(each["coverage"].get("reference", "")), {})
            return _payor(parcel, cover)[1]
    return "00000"


def _coverage(parcel: Parcel) -> Mapping[str, Any]:
    return parcel.resources.get(parcel.coverage, {})


def _payer(parcel: Parcel) -> Party:
    name, number = _payor(parcel, _coverage(parcel))
    return Party(name, number, "", "PI")


def _payor(parcel: Parcel, cover: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and number of who pays under a coverage."""
    payors: list[Mapping[str, Any]] = list(cover.get("payor", ()))
    payor = parcel.resources.get(str(payors[0].get("reference", "")), {}) if payors else {}
    return plain(payor.get("name")) or "PAYER", identifier(payor) or "00000"


def _provider(parcel: Parcel, settings: PayerSettings) -> Party:
    reference = str(parcel.claim.get("provider", {}).get("reference", ""))
    provider = parcel.resources.get(reference, {})
    name, given = name_of(provider)
    npi = identifier(provider, NPI) or settings.provider_id
    person = provider.get("resourceType") == "Practitioner"
    return Party(
        name or "PROVIDER", npi or "0000000000", given if person else "", "XX", "1" if person else "2", "",
        tuple(address_of(provider)),
    )  # fmt: skip


def _subscriber(parcel: Parcel) -> Subscriber:
    patient, cover = parcel.of_type("Patient"), _coverage(parcel)
    family, given = name_of(patient)
    member = str(cover.get("subscriberId") or identifier(cover) or identifier(patient))
    payer = _payer(parcel)
    kind = "MB" if any(word in payer.name.lower() or word == payer.identifier for word in _MEDICARE) else "CI"
    party = Party(family or "UNKNOWN", plain(member, 80), given, "MI", "1", "", tuple(address_of(patient)))
    return Subscriber(party, compact(patient.get("birthDate")), gender_of(patient), int(cover.get("order", 1)), kind)


def _place(claim: Mapping[str, Any]) -> str:
    """Return the place of service of the first item; an office where none is said."""
    for item in claim["item"]:
        for coding in item.get("locationCodeableConcept", {}).get("coding", ()):
            return str(coding.get("code", "11"))
    return "11"


def _bare(code: str) -> str:
    return code.rpartition("|")[2].replace(".", "")
