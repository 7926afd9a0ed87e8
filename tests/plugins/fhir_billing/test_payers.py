"""Payers that decide by themselves: whatever happens on the way, the outcome is what the payer decided, once."""

from collections.abc import Iterator
from typing import Any

import pytest
from fhir_billing.x12.envelope import parse
from fhir_billing.x12.values import control_number

from fhir_server.testing.server import serving
from tests.plugins.fhir_billing.insurance import MARCH_10, Desk, Insured, figures, total
from tests.plugins.fhir_billing.payer_server import FakePayer, paying, remitted
from tests.plugins.only import but

FHIR_KINDS = ("fhir", "sha", "nhia")
KINDS = (*FHIR_KINDS, "x12")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Desk, FakePayer]]:
    """A server that knows a payer of each kind, all of them played by one."""
    with paying() as payer:
        payers = {
            kind: {"kind": kind, "identifiers": [f"PAYER-{kind}"], "url": f"{payer.url}/{kind}", "inside": True}
            for kind in (*KINDS, "pas")
        }
        payers["x12"] |= {"sender": "CLINIC", "receiver": "PAYER"}
        payers["sha"] |= {"token_url": f"{payer.url}/token", "client_id": "c", "client_secret": "s"}
        settings = {"payers": payers, "payer_first_pause": 10}
        with serving(plugins={"fhir_billing": settings}, plugins_disabled=but("fhir_billing")) as server:
            server.clock.now = MARCH_10
            yield Desk(server), payer


@pytest.fixture
def payer(running: tuple[Desk, FakePayer]) -> FakePayer:
    """The payer, with nothing planned."""
    payer = running[1]
    payer.script.clear()
    payer.inquiries = 0
    return payer


@pytest.fixture
def desk(running: tuple[Desk, FakePayer]) -> Desk:
    """Who asks the server."""
    return running[0]


def insured(desk: Desk, kind: str) -> Insured:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}
    provider = desk.create({"resourceType": "Organization", "name": "Clinic", "identifier": [npi]})
    organization = {"identifier": [{"value": f"PAYER-{kind}"}], "name": "Medicare" if kind == "x12" else "Payer"}
    currency = {"sha": "KES", "nhia": "NGN"}.get(kind, "USD")
    return Insured(desk, "theirs", currency, payor_resource=organization, provider=provider, subscriberId="1EG4")


NUMBERS = iter(range(1, 10_000))


def full(of: Insured, *items: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Return a claim with all that the strictest guide asks for."""
    claim = of.claim(*items, **more)
    claim["identifier"] = [{"system": "urn:clinic", "value": f"N-{next(NUMBERS)}"}]
    claim["billablePeriod"] = {"start": "2026-03-02", "end": "2026-03-02"}
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J06.9"}
    claim["diagnosis"] = [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [coding]}}]
    for item in claim["item"]:
        item["category"] = {"coding": [{"code": "1"}]}
    claim["total"] = {"value": sum(float(amount) for _, amount in items), "currency": of.currency}
    return claim


def later(desk: Desk, seconds: float = 3600) -> None:
    """Let time pass, and the scheduled work be done."""
    desk.server.settle()
    desk.server.clock.go_on(seconds)
    answer = desk.ask("Claim/$follow-up", {"resourceType": "Parameters"})
    assert answer.status_code == 200, answer.text


def now(desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    return desk.read(f"ClaimResponse/{answer['id']}")


def number(claim: str, kind: str) -> str:
    """Return what the payer knows a claim by."""
    return control_number(claim) if kind == "x12" else claim


PAID = {
    "fhir": [{"paid": "104.00", "PR-3": "26.00"}], "sha": [{"paid": "104.00", "PR-3": "26.00"}],
    "nhia": [{"paid": "104.00", "PR-3": "26.00"}], "x12": [{"paid": "73.60", "CO-45": "38.00", "PR-2": "18.40"}],
}  # fmt: skip
DENIED = [{"paid": "0.00", "CO-50": "130.00"}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("script", "decision"),
    [
        ([], "pay"),
        (["deny"], "deny"),
        (["pend", "pend", "pend"], "pay"),
        (["lose"], "pay"),
        (["lose", "fail", "fail"], "pay"),
        (["fail"], "pay"),
        (["fail", "unknown", "lose"], "pay"),
        (["garble"], "pay"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else each,
)
def test_whatever_happens_on_the_way_it_is_decided_once(
    desk: Desk, payer: FakePayer, kind: str, script: list[str], decision: str
) -> None:
    if kind == "x12" and script[:1] == ["garble"]:
        script = ["fail"]
    who = insured(desk, kind)
    payer.script[:] = script if kind != "x12" or script[:1] != ["pend"] else ["take", "pend", "pend"]
    answer = desk.submit(full(who, ("99213", "130.00")))
    assert answer["outcome"] == "queued"
    for _ in range(7):
        later(desk)
    found = now(desk, answer)
    assert found["outcome"] == "complete", found
    assert figures(found) == (DENIED if decision == "deny" else PAID[kind])
    claim = answer["request"]["reference"].partition("/")[2]
    assert payer.taken[number(claim, kind)] == 1
    eobs = desk.http.get("/fhir/ExplanationOfBenefit", params={"patient": who.patient}).json()["entry"]
    assert len(eobs) == 1
    assert figures(eobs[0]["resource"]) == figures(found)
    owed = desk.booked(f"receivable/{who.payor.replace('/', '.')}")
    assert owed[f"receivable/{who.payor.replace('/', '.')}/{claim}" + (".denied" if decision == "deny" else "")] == (
        "130.00" if decision == "deny" else PAID[kind][0]["paid"]
    )
    assert desk.in_order()


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_that_the_payer_does_not_take_is_told_in_its_words_and_leaves_no_entry(
    desk: Desk, payer: FakePayer, kind: str
) -> None:
    who = insured(desk, kind)
    payer.script[:] = ["refuse"]
    answer = desk.submit(full(who, ("99213", "130.00")))
    later(desk)
    found = now(desk, answer)
    assert found["outcome"] == "error"
    said = found["error"][0]["code"]["text"]
    assert "segment SBR" in said if kind == "x12" else said == "no such member (Coverage.subscriberId)"
    assert desk.booked(f"receivable/{who.payor.replace('/', '.')}") == {}
    anew = desk.submit(full(who, ("99213", "130.00")))
    later(desk)
    later(desk)
    assert now(desk, anew)["outcome"] == "complete"


@pytest.mark.parametrize("kind", ["fhir", "pas", "x12"])
def test_a_prior_authorization_gets_its_number_and_books_nothing(desk: Desk, payer: FakePayer, kind: str) -> None:
    who = insured(desk, kind)
    payer.script[:] = ["pend"] if kind != "x12" else ["pend", "pend"]
    answer = desk.submit(full(who, ("70553", "600.00"), use="preauthorization"))
    for _ in range(4):
        later(desk)
    found = now(desk, answer)
    assert (found["outcome"], found.get("preAuthRef")) == ("complete", "AUTH-9")
    assert desk.booked(f"receivable/{who.payor.replace('/', '.')}") == {}


def test_pas_takes_no_claims_for_payment_and_its_requests_have_its_shape(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "pas")
    answer = desk.submit(full(who, ("99213", "130.00")))
    later(desk)
    assert "prior authorizations" in now(desk, answer)["error"][0]["code"]["text"]
    desk.submit(full(who, ("70553", "600.00"), use="preauthorization"))
    later(desk)
    bundle = payer.bodies[-1]
    assert bundle["meta"]["profile"][0].endswith("profile-pas-request-bundle")
    types = [each["resource"]["resourceType"] for each in bundle["entry"]]
    assert types[0] == "Claim"
    assert {"Patient", "Coverage", "Organization"} <= set(types)


def test_an_answer_that_cannot_be_stored_is_noted_and_does_not_hold_up_others(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "fhir")
    payer.script[:] = ["nonsense", "nonsense"]
    odd = desk.submit(full(who, ("70553", "600.00"), use="preauthorization"))
    later(desk)
    payer.script[:] = []
    good = desk.submit(full(who, ("99213", "130.00")))
    later(desk)
    assert now(desk, odd)["outcome"] == "queued"
    assert now(desk, good)["outcome"] == "complete"
    payer.claims[odd["request"]["reference"].partition("/")[2]] = "pay"
    later(desk, 86_400)
    assert now(desk, odd)["preAuthRef"] == "AUTH-9"


def test_kenya_is_sent_what_its_profile_asks_for_and_nothing_that_lacks_it(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "sha")
    bare = who.claim(("SHA-OP-01", "900.00"))
    answer = desk.submit(bare)
    later(desk)
    said = [each["code"]["text"] for each in now(desk, answer)["error"]]
    assert "a coded diagnosis is missing (Claim.diagnosis)" in said
    desk.submit(full(who, ("SHA-OP-02", "900.00")))
    later(desk)
    claim = payer.bodies[-1]["entry"][0]["resource"]
    assert claim["meta"]["profile"] == ["https://fhir.dha.go.ke/eclaims/StructureDefinition/ke-eclaims-claimsubmission"]
    invoice = {each["url"]: each for each in claim["extension"][0]["extension"]}
    assert invoice["invoiceAmount"]["valueMoney"]["currency"] == "KES"
    assert claim["item"][0]["unitPrice"] == {"value": 900, "currency": "KES"}


def test_nigeria_is_sent_a_transaction_whose_entries_refer_to_each_other(desk: Desk, payer: FakePayer) -> None:
    desk.submit(full(insured(desk, "nhia"), ("CONS-GP", "8000.00")))
    later(desk)
    bundle = payer.bodies[-1]
    assert bundle["type"] == "transaction"
    urls = {each["fullUrl"]: each["resource"] for each in bundle["entry"]}
    claim = next(each for each in urls.values() if each["resourceType"] == "Claim")
    coverage = urls[claim["insurance"][0]["coverage"]["reference"]]
    assert urls[coverage["beneficiary"]["reference"]]["resourceType"] == "Patient"
    assert all(each["request"]["method"] == "POST" for each in bundle["entry"])


def test_medicare_gets_an_837_that_says_all_and_its_835_may_come_by_itself(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "x12")
    payer.script[:] = ["take"]
    answer = desk.submit(full(who, ("99213", "130.00"), ("93000", "40.00")))
    desk.server.settle()
    text = payer.files[-1].decode()
    claim = answer["request"]["reference"].partition("/")[2]
    for part in (
        f"CLM*{control_number(claim)}*170***11:B:1",
        "HI*ABK:J069",
        "NM1*85*2*CLINIC*****XX*1234567893",
        "*MI*1EG4",
        "SV1*HC:99213*130*UN*1***1",
    ):
        assert part in text, part
    raw = remitted(payer.batches[control_number(claim)])
    back = desk.http.post("/billing/x12", content=raw, headers={"content-type": "application/edi-x12"})
    assert back.status_code == 200
    assert b"IK5*A~" in back.content
    assert parse(back.content)[0].transactions[0].kind == "999"
    found = now(desk, answer)
    assert figures(found) == [
        {"paid": "73.60", "CO-45": "38.00", "PR-2": "18.40"},
        {"paid": "32.00", "PR-2": "8.00"},
    ]
    again = desk.http.post("/billing/x12", content=raw, headers={"content-type": "application/edi-x12"})
    assert again.status_code == 200
    assert now(desk, answer)["meta"]["versionId"] == found["meta"]["versionId"]
    assert total(found, "benefit") == 105.6


def test_a_payer_that_corrects_itself_is_booked_anew(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "x12")
    answer = desk.submit(full(who, ("99213", "130.00")))
    desk.server.settle()
    claim = answer["request"]["reference"].partition("/")[2]
    for what in ("deny", "pay"):
        desk.http.post("/billing/x12", content=remitted(payer.batches[control_number(claim)], what))
    assert figures(now(desk, answer)) == PAID["x12"]
    payor = who.payor.replace("/", ".")
    assert desk.booked(f"receivable/{payor}") == {f"receivable/{payor}/{claim}": "73.60"}
    assert desk.in_order()


def test_an_interchange_with_faults_is_not_posted(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "x12")
    answer = desk.submit(full(who, ("99213", "130.00")))
    desk.server.settle()
    raw = remitted(payer.batches[control_number(answer["request"]["reference"].partition("/")[2])])
    wrong = desk.http.post("/billing/x12", content=raw.replace(b"CLP", b"CLQ"))
    assert wrong.status_code == 200
    assert desk.http.post("/billing/x12", content=b"ISA nonsense").status_code == 400
    broken = desk.http.post("/billing/x12", content=raw.replace(b"SE*", b"SE*9"))
    assert b"IK5*R*4" in broken.content
    assert now(desk, answer)["outcome"] == "queued"


def test_a_notification_makes_the_payer_be_asked_and_is_not_believed(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "fhir")
    payer.script[:] = ["pend"]
    answer = desk.submit(full(who, ("99213", "130.00")))
    desk.server.settle()
    forged = {"resourceType": "ClaimResponse", "request": answer["request"], "outcome": "complete", "item": []}
    payer.script[:] = ["pend"]
    assert desk.http.post("/billing/payers/notifications", json=forged).status_code == 202
    assert now(desk, answer)["outcome"] == "queued"
    assert desk.http.post("/billing/payers/notifications", json=forged).status_code == 202
    assert figures(now(desk, answer)) == PAID["fhir"]


def test_a_claim_is_cancelled_at_the_payer_before_it_is_here(desk: Desk, payer: FakePayer) -> None:
    who = insured(desk, "fhir")
    payer.script[:] = ["pend"]
    answer = desk.submit(full(who, ("99213", "130.00")))
    desk.server.settle()
    claim = answer["request"]["reference"]
    asked = desk.ask(f"{claim}/$cancel", {"resourceType": "Parameters"}).json()
    assert asked["status"] == "active"
    later(desk)
    assert now(desk, answer)["status"] == "cancelled"
    assert payer.claims[claim.partition("/")[2]] == "cancelled"
    assert desk.booked(f"receivable/{who.payor.replace('/', '.')}") == {}


@pytest.mark.parametrize("kind", ["fhir", "x12"])
def test_eligibility_is_the_payers_word(desk: Desk, payer: FakePayer, kind: str) -> None:
    who = insured(desk, kind)
    request = {
        "resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["benefits"],
        "patient": {"reference": who.patient}, "created": "2026-03-10", "insurer": {"reference": who.payor},
        "insurance": [{"coverage": {"reference": who.coverage}}],
    }  # fmt: skip
    answer = desk.ask("CoverageEligibilityRequest/$submit", request)
    assert answer.status_code == 200, answer.text
    assert answer.json()["insurance"][0]["inforce"] is True
    assert answer.json()["insurance"][0]["coverage"]["reference"] == who.coverage
