"""Claims that a table of rules decides: from $submit to the explanation of benefit and the books."""

import base64
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server.testing.server import serving
from tests.plugins.fhir_billing.insurance import MARCH_10, Desk, Insured, figures, total
from tests.plugins.only import but
from tests.shared_data import shared_data


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A server on the tenth of March 2026."""
    with serving(plugins_disabled=but("fhir_billing")) as server:
        server.clock.now = MARCH_10
        yield Desk(server)


def test_each_line_is_explained_and_the_explanation_is_the_same(desk: Desk) -> None:
    insured = Insured(desk)
    answer = desk.submit(insured.claim(("99213", "130.00"), ("71046", "80.00"), ("15820", "900.00")))
    assert answer["outcome"] == "complete"
    assert figures(answer) == [
        {"paid": "70.00", "CO-45": "30.00", "PR-3": "30.00"},
        {"paid": "0.00", "CO-45": "35.00", "PR-1": "45.00"},
        {"paid": "0.00", "PR-96": "900.00"},
    ]
    assert total(answer, "submitted") == 1110
    assert total(answer, "benefit") == 70
    assert total(answer, "memberliability") == 975
    assert answer["item"][2]["adjudication"][-1]["reason"]["text"] == "Excluded by the plan."
    found = desk.http.get("/fhir/ExplanationOfBenefit", params={"patient": insured.patient}).json()["entry"]
    eob = found[0]["resource"]
    assert figures(eob) == figures(answer)
    assert eob["claimResponse"]["reference"] == f"ClaimResponse/{answer['id']}"
    assert eob["meta"]["profile"] == [
        "http://hl7.org/fhir/us/carin-bb/StructureDefinition/C4BB-ExplanationOfBenefit-Professional-NonClinician"
    ]


@pytest.mark.parametrize("type_", ["ClaimResponse", "ExplanationOfBenefit", "Claim"])
def test_what_is_stored_is_valid_and_cannot_be_changed_by_hand(desk: Desk, type_: str) -> None:
    insured = Insured(desk)
    desk.submit(insured.claim(("99213", "130.00")))
    stored = desk.http.get(f"/fhir/{type_}", params={"patient": insured.patient}).json()["entry"][0]["resource"]
    stored["meta"].pop("profile", None)
    outcome = desk.ask(f"{type_}/$validate", stored).json()
    assert not [each for each in outcome["issue"] if each["severity"] in ("error", "fatal")], outcome
    stored["created"] = "2020-01-01"
    changed = desk.http.put(f"/fhir/{type_}/{stored['id']}", json=stored)
    assert changed.status_code == 422
    assert "derived from the ledger" in changed.text
    assert desk.http.delete(f"/fhir/{type_}/{stored['id']}").status_code == 422


def test_the_books_hold_what_the_payer_owes_and_what_fell_to_the_patient(desk: Desk) -> None:
    insured = Insured(desk)
    answer = desk.submit(insured.claim(("99213", "130.00"), ("70553", "600.00")))
    claim = answer["request"]["reference"].partition("/")[2]
    payer, patient = insured.payor.replace("/", "."), insured.patient.replace("/", ".")
    assert desk.booked(f"receivable/{payer}") == {
        f"receivable/{payer}/{claim}": "70.00",
        f"receivable/{payer}/{claim}.denied": "600.00",
    }
    assert desk.booked(f"receivable/{patient}") == {f"receivable/{patient}/{claim}": "30.00"}
    assert desk.booked(f"contractual/{payer}") == {f"contractual/{payer}": "30.00"}
    assert desk.in_order()


def test_what_fell_to_the_patient_becomes_an_invoice_once(desk: Desk) -> None:
    insured = Insured(desk)
    claim = desk.submit(insured.claim(("99213", "130.00")))["request"]["reference"]
    assert "total" not in desk.read(claim), "a total is not asked for"
    asked = {"resourceType": "Parameters", "parameter": [{"name": "claim", "valueReference": {"reference": claim}}]}
    made = desk.ask("Invoice/$invoice", asked)
    assert made.status_code == 200, made.text
    assert made.json()["parameter"][0]["resource"]["totalNet"] == {"value": 30, "currency": "USD"}
    assert desk.ask("Invoice/$invoice", asked).status_code == 409
    assert desk.in_order()


def test_a_claim_is_not_taken_back_while_its_share_stands_on_an_invoice(desk: Desk) -> None:
    insured = Insured(desk)
    claim = desk.submit(insured.claim(("99213", "130.00")))["request"]["reference"]

    def invoice(name: str, value: str) -> dict[str, Any]:
        asked = {"resourceType": "Parameters", "parameter": [{"name": name, "valueReference": {"reference": value}}]}
        made = desk.ask("Invoice/$invoice", asked)
        assert made.status_code == 200, made.text
        return dict(made.json()["parameter"][0]["resource"])

    made = invoice("claim", claim)
    refused = desk.ask(f"{claim}/$cancel", {"resourceType": "Parameters"})
    assert (refused.status_code, "stands on an invoice" in refused.text) == (409, True)
    anew = insured.claim(("99213", "140.00"), related=related(claim, "replaces"))
    desk.refused(anew, 409)
    assert invoice("cancel", f"Invoice/{made['id']}")["status"] == "cancelled"
    replaced = desk.submit(anew)["request"]["reference"]
    assert desk.ask(f"{replaced}/$cancel", {"resourceType": "Parameters"}).json()["status"] == "cancelled"
    assert desk.booked(f"receivable/{insured.patient.replace('/', '.')}") == {}
    assert desk.in_order()


def test_claims_without_charges_count_in_the_days_of_receivables() -> None:
    with serving(plugins_disabled=but("fhir_billing")) as server:
        server.clock.now = MARCH_10
        desk = Desk(server)
        desk.submit(Insured(desk).claim(("99213", "130.00")))
        report = {each["name"]: each for each in desk.http.get("/fhir/MeasureReport/$receivables").json()["parameter"]}
        assert "days-in-ar,USD,,,69.2" in report["csv"]["valueString"]  # 100 of 130 are open: 90 * 100 / 130


def test_an_estimate_says_what_the_explanation_says_later_and_stores_nothing(desk: Desk) -> None:
    insured = Insured(desk)
    desk.submit(insured.claim(("71046", "480.00"), day="2026-02-01"))
    claim = insured.claim(("99213", "130.00"), ("71046", "80.00"), ("D2740", "1000.00"))
    before = desk.http.get("/fhir/ClaimResponse", params={"_summary": "count"}).json()["total"]
    estimate = desk.ask("Claim/$estimate", claim).json()
    assert desk.http.get("/fhir/ClaimResponse", params={"_summary": "count"}).json()["total"] == before
    answer = desk.submit(claim)
    assert figures(estimate) == figures(answer)
    for code in ("submitted", "eligible", "benefit", "deductible", "copay", "coinsurance", "memberliability"):
        assert total(estimate, code) == total(answer, code)
    assert f"the patient pays {total(answer, 'memberliability'):.2f} USD" in estimate["processNote"][-1]["text"]


def test_what_is_not_done_yet_is_estimated_and_authorized_but_not_paid(desk: Desk) -> None:
    insured = Insured(desk)
    elsewhere = insured.claim(("99213", "130.00"), day="2026-03-11")  # where it is tomorrow already
    assert "CO-110" not in figures(desk.submit(elsewhere))[0]
    planned = insured.claim(("99213", "130.00"), day="2026-03-12")
    asked = desk.ask("Claim/$estimate", planned).json()
    assert "CO-110" not in figures(asked)[0]
    assert "CO-110" not in figures(desk.submit({**planned, "use": "predetermination"}))[0]
    assert figures(desk.submit(planned)) == [{"paid": "0.00", "CO-110": "130.00"}]
    assert desk.in_order()


def test_a_deductible_is_used_up_over_claims(desk: Desk) -> None:
    insured = Insured(desk)
    first = desk.submit(insured.claim(("99285", "300.00"), ("73000", "450.00")))
    assert total(first, "deductible") == 450
    second = desk.submit(insured.claim(("73010", "100.00")))
    assert figures(second) == [{"paid": "40.00", "PR-1": "50.00", "PR-2": "10.00"}]


def test_the_same_claim_at_the_same_instant_counts_once(desk: Desk) -> None:
    insured = Insured(desk)
    claim = insured.claim(("71046", "45.00"), identifier=[{"system": "urn:clinic", "value": "C-77"}])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: desk.submit(claim), range(8)))
    assert len({each["id"] for each in answers}) == 1
    eobs = desk.http.get("/fhir/ExplanationOfBenefit", params={"patient": insured.patient}).json()
    assert len(eobs["entry"]) == 1
    later = desk.submit(insured.claim(("73000", "1000.00")))
    assert total(later, "deductible") == 455  # 45 of 500 were used, once


def test_different_claims_at_the_same_instant_share_one_deductible(desk: Desk) -> None:
    insured = Insured(desk)
    claims = [insured.claim((f"7300{n}", "200.00")) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(desk.submit, claims))
    assert sum(total(each, "deductible") for each in answers) == 500


def test_the_same_service_in_another_claim_is_a_duplicate_that_names_it(desk: Desk) -> None:
    insured = Insured(desk)
    first = desk.submit(insured.claim(("85025", "12.00")))
    again = desk.submit(insured.claim(("85025", "12.00"), ("85027", "9.00")))
    assert figures(again)[0] == {"paid": "0.00", "OA-18": "12.00"}
    assert first["request"]["reference"] in again["item"][0]["adjudication"][-1]["reason"]["text"]


def test_an_identifier_that_is_used_again_for_something_else_is_refused(desk: Desk) -> None:
    insured = Insured(desk)
    identifier = [{"system": "urn:clinic", "value": "C-78"}]
    desk.submit(insured.claim(("85025", "12.00"), identifier=identifier))
    said = desk.refused(insured.claim(("85025", "13.00"), identifier=identifier), 409)
    assert "`replaces`" in said[0][0]


def related(claim: str, relation: str) -> list[dict[str, Any]]:
    return [{"claim": {"reference": claim}, "relationship": {"coding": [{"code": relation}]}}]


def test_a_cancelled_claim_leaves_nothing_behind(desk: Desk) -> None:
    insured = Insured(desk)
    answer = desk.submit(insured.claim(("71046", "45.00")))
    claim = answer["request"]["reference"]
    cancelled = desk.ask(f"{claim}/$cancel", {"resourceType": "Parameters"}).json()
    assert cancelled["status"] == "cancelled"
    assert desk.ask(f"{claim}/$cancel", {"resourceType": "Parameters"}).json()["status"] == "cancelled"
    assert desk.booked(f"receivable/{insured.payor.replace('/', '.')}") == {}
    assert desk.booked(f"receivable/{insured.patient.replace('/', '.')}") == {}
    eob = desk.http.get("/fhir/ExplanationOfBenefit", params={"patient": insured.patient}).json()["entry"][0]
    assert eob["resource"]["status"] == "cancelled"
    anew = desk.submit(insured.claim(("71046", "45.00")))
    assert figures(anew) == [{"paid": "0.00", "PR-1": "45.00"}]


def test_a_replacement_takes_the_place_of_the_first_in_one_commit(desk: Desk) -> None:
    insured = Insured(desk)
    first = desk.submit(insured.claim(("73000", "600.00")))
    assert figures(first) == [{"paid": "80.00", "PR-1": "500.00", "PR-2": "20.00"}]
    second = desk.submit(insured.claim(("73000", "550.00"), related=related(first["request"]["reference"], "replaces")))
    assert figures(second) == [{"paid": "40.00", "PR-1": "500.00", "PR-2": "10.00"}]
    assert desk.read(f"ClaimResponse/{first['id']}")["status"] == "cancelled"
    claim = second["request"]["reference"].partition("/")[2]
    payer = insured.payor.replace("/", ".")
    assert desk.booked(f"receivable/{payer}") == {f"receivable/{payer}/{claim}": "40.00"}


def test_what_was_denied_is_claimed_again_with_an_authorization(desk: Desk) -> None:
    insured = Insured(desk)
    first = desk.submit(insured.claim(("70553", "600.00")))
    assert figures(first) == [{"paid": "0.00", "CO-197": "600.00"}]
    asked = desk.submit(insured.claim(("70553", "600.00"), use="preauthorization"))
    number = asked["preAuthRef"]
    assert asked["preAuthPeriod"] == {"start": "2026-03-02", "end": "2026-05-31"}
    insurance = [{"sequence": 1, "focal": True, "coverage": {"reference": insured.coverage}, "preAuthRef": [number]}]
    second = desk.submit(
        insured.claim(
            ("70553", "600.00"), insurance=insurance, related=related(first["request"]["reference"], "resubmission")
        )
    )
    assert figures(second) == [{"paid": "80.00", "PR-1": "500.00", "PR-2": "20.00"}]
    payer = insured.payor.replace("/", ".")
    claim = second["request"]["reference"].partition("/")[2]
    assert desk.booked(f"receivable/{payer}") == {f"receivable/{payer}/{claim}": "80.00"}
    third = desk.submit(insured.claim(("70553", "600.00"), insurance=insurance, day="2026-03-03"))
    assert figures(third) == [{"paid": "0.00", "CO-198": "600.00"}]


def test_an_appeal_waits_for_a_person_and_then_takes_the_place_of_the_first(desk: Desk) -> None:
    insured = Insured(desk)
    first = desk.submit(insured.claim(("70553", "600.00"), ("85025", "12.00")))
    appeal = desk.submit(
        insured.claim(("70553", "600.00"), ("85025", "12.00"), related=related(first["request"]["reference"], "appeal"))
    )
    assert appeal["outcome"] == "queued"
    assert desk.read(f"ClaimResponse/{first['id']}")["status"] == "active"
    claim = appeal["request"]["reference"]
    line = {
        "name": "line",
        "part": [{"name": "sequence", "valuePositiveInt": 1}, {"name": "reason", "valueCode": "50"}],
    }
    unknown = {"name": "line", "part": [{"name": "sequence", "valuePositiveInt": 9}]}
    assert desk.ask(f"{claim}/$decide", {"resourceType": "Parameters", "parameter": [unknown]}).status_code == 400
    decided = desk.ask(f"{claim}/$decide", {"resourceType": "Parameters", "parameter": [line]}).json()
    assert decided["outcome"] == "complete", decided
    assert figures(decided) == [{"paid": "0.00", "CO-50": "600.00"}, {"paid": "0.00", "PR-1": "12.00"}]
    assert desk.read(f"ClaimResponse/{first['id']}")["status"] == "cancelled"
    assert desk.ask(f"{claim}/$decide", {"resourceType": "Parameters", "parameter": [line]}).status_code == 409


def test_a_claim_that_a_person_decided_can_be_cancelled(desk: Desk) -> None:
    insured = Insured(desk)
    waiting = desk.submit(insured.claim(("64999", "100.00")))["request"]["reference"]
    first = desk.submit(insured.claim(("71046", "45.00")))
    appeal = desk.submit(insured.claim(("71046", "45.00"), related=related(first["request"]["reference"], "appeal")))
    for claim in (waiting, appeal["request"]["reference"]):
        assert desk.ask(f"{claim}/$decide", {"resourceType": "Parameters"}).json()["outcome"] == "complete"
        cancelled = desk.ask(f"{claim}/$cancel", {"resourceType": "Parameters"})
        assert (cancelled.status_code, cancelled.json().get("status")) == (200, "cancelled"), cancelled.text
    for party in (insured.payor, insured.patient):
        assert desk.booked(f"receivable/{party.replace('/', '.')}") == {}
    assert desk.in_order()


def test_a_service_left_to_people_is_pended(desk: Desk) -> None:
    insured = Insured(desk)
    answer = desk.submit(insured.claim(("64999", "100.00")))
    assert answer["outcome"] == "queued"
    found = desk.ask("Claim/$inquire", {"resourceType": "Claim", "patient": {"reference": insured.patient}}).json()
    assert [each["resource"]["id"] for each in found["entry"]] == [answer["id"]]
    done = desk.ask(f"{answer['request']['reference']}/$decide", {"resourceType": "Parameters"}).json()
    assert figures(done) == [{"paid": "0.00", "PR-1": "100.00"}]


def test_the_second_payer_pays_of_what_the_first_left_and_the_patient_owes_the_rest(desk: Desk) -> None:
    first = Insured(desk, "us-medicare-b", order=1)
    second = Insured(desk, "us-ppo", patient=first.patient, provider=first.provider, order=2)
    claim = first.claim(("73000", "1000.00"))
    both = [
        {"sequence": 1, "focal": True, "coverage": {"reference": first.coverage}},
        {"sequence": 2, "focal": False, "coverage": {"reference": second.coverage}},
    ]
    estimate = desk.ask("Claim/$estimate", {**claim, "insurance": both}).json()
    primary = desk.submit({**claim, "insurance": both})
    # 283 deductible, 20% of 717 is 143.40: the first pays 573.60 and leaves 426.40.
    assert figures(primary) == [{"paid": "573.60", "PR-1": "283.00", "PR-2": "143.40"}]
    after = [
        {"sequence": 1, "focal": False, "coverage": {"reference": first.coverage},
         "claimResponse": {"reference": f"ClaimResponse/{primary['id']}"}},
        {"sequence": 2, "focal": True, "coverage": {"reference": second.coverage}},
    ]  # fmt: skip
    answer = desk.submit(second.claim(("73000", "1000.00"), insurance=after))
    # Alone it would have paid 400 (500 deductible, 20% of 500): of 426.40 it pays 400; 26.40 stay.
    assert figures(answer) == [{"paid": "400.00", "OA-23": "573.60", "PR-1": "26.40"}]
    assert "the patient pays 26.40 USD" in estimate["processNote"][-1]["text"]
    owed = desk.booked(f"receivable/{first.patient.replace('/', '.')}")
    assert list(owed.values()) == ["26.40"]
    assert desk.in_order()


def test_a_bundle_of_claims_is_answered_by_a_bundle(desk: Desk) -> None:
    insured = Insured(desk)
    claims = [insured.claim((f"8502{n}", "10.00")) for n in range(3)]
    bundle = {
        "resourceType": "Bundle", "type": "collection",
        "entry": [
            {"fullUrl": f"urn:uuid:{n:08d}-0000-4000-8000-000000000000", "resource": each}
            for n, each in enumerate(claims)
        ],
    }  # fmt: skip
    answer = desk.ask("Claim/$submit", bundle).json()
    assert [each["resource"]["resourceType"] for each in answer["entry"]] == ["ClaimResponse"] * 3
    bundle["entry"][1]["resource"] = {**insured.claim(("85030", "10.00")), "use": "gift"}
    for number in (0, 2):
        bundle["entry"][number]["resource"] = insured.claim((f"8504{number}", "10.00"))
    mixed = desk.ask("Claim/$submit", bundle).json()["entry"]
    assert [each["resource"]["resourceType"] for each in mixed] == [
        "ClaimResponse",
        "OperationOutcome",
        "ClaimResponse",
    ]
    alone = desk.ask("Claim/$submit", {**bundle, "entry": bundle["entry"][1:2]})
    assert alone.status_code == 422


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"item_net": "-5.00"}, "below zero", "Claim.item[0].net"),
    ({"item_net": "5.005"}, "USD has 2 decimals", "Claim.item[0].net"),
    ({"total": {"value": 1, "currency": "USD"}}, "the items make 130.00", "Claim.total"),
    ({"total": {"value": 130, "currency": "EUR"}}, "USD here, EUR elsewhere", "Claim.item[0].net.currency"),
    ({"item_currency": "XYZ"}, "no currency of ISO 4217", "Money.currency"),
    ({"use": "gift"}, "use is one of", "Claim.use"),
    ({"insurance": []}, "exactly one insurance is focal", "Claim.insurance"),
    ({"item": []}, "no items", "Claim.item"),
    ({"item_code": None}, "no coded product", "Claim.item[0].productOrService"),
    ({"related": related("Claim/none", "replaces")}, "no such claim", "Claim.related[0].claim"),
    ({"related": related("Claim/none", "cousin")}, "relationship is one of", "Claim.related[0].relationship"),
]


@pytest.mark.parametrize(("amiss", "text", "place"), FAULTS)
def test_what_is_wrong_with_a_claim_is_said_with_its_place(
    desk: Desk, amiss: dict[str, Any], text: str, place: str
) -> None:
    insured = Insured(desk)
    insured.currency = amiss.pop("item_currency", "USD")
    net, code = amiss.pop("item_net", "130.00"), amiss.pop("item_code", "99213")
    claim = {**insured.claim(("99213" if code is None else code, net)), **amiss}
    if code is None:
        claim["item"][0]["productOrService"] = {"text": "a visit"}
    said = desk.refused(claim)
    assert any(text in each[0] and each[1] == place for each in said), said


def test_a_stored_claim_is_submitted_as_it_is_stored_and_once(desk: Desk) -> None:
    insured = Insured(desk)
    stored = desk.read(desk.create(insured.claim(("99213", "130.00"))))
    other = {**stored, "patient": {"reference": Insured(desk).patient}}
    assert desk.ask("Claim/$submit", other).status_code in (409, 422)
    more = {**stored, "item": [{**stored["item"][0], "net": {"value": 131, "currency": "USD"}}]}
    assert "says something else" in desk.refused(more, 409)[0][0]
    answer = desk.submit(stored)
    assert answer["request"]["reference"] == f"Claim/{stored['id']}"
    assert desk.submit(stored)["id"] == answer["id"]


def test_a_claim_of_too_many_lines_is_refused_before_it_is_read(desk: Desk) -> None:
    claim = Insured(desk).claim(*[("99213", "1.00")] * 1000)
    assert desk.refused(claim, 403) == [("a claim has at most 999 items", "Claim.item")]


def test_coverages_that_cannot_pay_are_named(desk: Desk) -> None:
    insured, other = Insured(desk), Insured(desk)
    insurance = [{"sequence": 1, "focal": True, "coverage": {"reference": other.coverage}}]
    said = desk.refused(insured.claim(("99213", "130.00"), insurance=insurance))
    assert said == [("the coverage is another patient's", "Claim.insurance[0].coverage")]
    cancelled = Insured(desk, status="cancelled")
    assert "cancelled, not active" in desk.refused(cancelled.claim(("99213", "130.00")))[0][0]
    unknown = Insured(desk, "no-such-plan")
    assert "no table of rules for the plan no-such-plan" in desk.refused(unknown.claim(("99213", "130.00")))[0][0]
    naira = Insured(desk, "us-ppo", "NGN")
    assert "the plan us-ppo pays in USD" in desk.refused(naira.claim(("99213", "130.00")))[0][0]
    expired = Insured(desk, period={"start": "2025-01-01", "end": "2026-02"})
    assert figures(desk.submit(expired.claim(("99213", "130.00")))) == [{"paid": "0.00", "PR-27": "130.00"}]


def test_eligibility_says_what_is_left(desk: Desk) -> None:
    insured = Insured(desk)
    desk.submit(insured.claim(("71046", "45.00")))
    request = {
        "resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["benefits"],
        "patient": {"reference": insured.patient}, "created": "2026-03-10", "insurer": {"reference": insured.payor},
        "servicedDate": "2026-03-10", "insurance": [{"coverage": {"reference": insured.coverage}}],
        "item": [{"productOrService": {"coding": [{"code": code}]}} for code in ("70553", "X1")],
    }  # fmt: skip
    answer = desk.ask("CoverageEligibilityRequest/$submit", request)
    assert answer.status_code == 200, answer.text
    insurance = answer.json()["insurance"][0]
    assert insurance["inforce"] is True
    assert insurance["item"][0]["benefit"][0]["usedMoney"]["value"] == 45
    assert insurance["item"][-2]["authorizationRequired"] is True
    assert insurance["item"][-1]["excluded"] is True
    stored = desk.read(f"CoverageEligibilityResponse/{answer.json()['id']}")
    assert stored["request"]["reference"].startswith("CoverageEligibilityRequest/")


def test_activity_for_the_nhs_is_priced_and_reported_without_claims_on_patients(desk: Desk) -> None:
    desk.server.clock.now = MARCH_10 + 60 * 86_400_000
    insured = Insured(desk, "uk-nhs", "GBP")
    answer = desk.submit(insured.claim(("FF37A", "2500.00"), ("WF01A", "120.00"), day="2026-05-02"))
    assert total(answer, "memberliability") == 0
    period = [{"name": "start", "valueDate": "2026-05-01"}, {"name": "end", "valueDate": "2026-05-31"}]
    payor = {"name": "payor", "valueReference": {"reference": insured.payor}}
    asked = desk.ask("Claim/$activity-report", {"resourceType": "Parameters", "parameter": [*period, payor]})
    assert asked.status_code == 200, asked.text
    rows = asked.text if asked.headers["content-type"].startswith("text/csv") else decoded(asked.json())
    head, first, second = rows.split("\r\n")[:3]
    assert head.startswith("provider,commissioner,claim,line,activity_date,hrg")
    claim = answer["request"]["reference"].partition("/")[2]
    assert first == f"{insured.provider},{insured.payor},{claim},1,2026-05-02,FF37A,1,2500.00,2210.25,GBP,uk-nhs|2026.1"
    assert ",WF01A,1,120.00,99.99,GBP," in second


def decoded(binary: dict[str, Any]) -> str:
    return base64.b64decode(binary["data"]).decode()


def test_the_example_of_da_vinci_pas_gets_its_authorization(desk: Desk) -> None:
    with tarfile.open(shared_data("packages") / "davinci-pas-2.2.1.tgz") as package:
        file = package.extractfile("package/example/Bundle-ReferralAuthorizationBundleExample.json")
        assert file is not None
        bundle = json.load(file)
    member = desk.server.patient(identifier=[{"system": "http://example.org/MIN", "value": "12345678901"}])
    Insured(desk, "us-medicare-b", patient=desk.create(member), subscriberId="1122334455")
    bundle["entry"][0]["resource"]["created"] = "2026-03-10"
    answer = desk.ask("Claim/$submit", bundle)
    assert answer.status_code == 200, answer.text
    [entry] = answer.json()["entry"]
    assert (entry["resource"]["outcome"], entry["resource"]["use"]) == ("complete", "preauthorization")
    assert entry["resource"]["preAuthRef"].startswith("PA")
    assert entry["resource"]["item"][0]["itemSequence"] == 1
    again = desk.ask("Claim/$submit", bundle).json()["entry"][0]["resource"]
    assert again["id"] == entry["resource"]["id"]
    asked = desk.ask("Claim/$inquire", bundle).json()["entry"]
    assert [each["resource"]["preAuthRef"] for each in asked] == [entry["resource"]["preAuthRef"]]
