"""CDS services show what scores and rules say, and keep what users did with their cards."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from fhir_ai.cds.feedback import sweep
from fhir_ai.cds.overrides import Override, accepted_share, overrides
from fhir_ai.cds.table import Cards, cards
from pydantic import ValidationError

from fhir_server.plugin_api import PluginContext
from fhir_server.privacy.belongings import belongings
from fhir_server.testing.server import TestServer, serving
from tests.plugins.fhir_ai.patients import NOW, ago, condition, measured, person, store, store_all, vitals
from tests.plugins.only import but

BASE = "http://testserver/fhir"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
FOLDER = Path(__file__).parents[4] / "plugins" / "fhir_ai" / "cds"


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with serving(plugins_disabled=but("fhir_ai", "fhir_cds_hooks")) as found:
        yield found


def medicine(of: str, system: str, code: str, display: str = "", status: str = "active") -> dict[str, Any]:
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {
        "resourceType": "MedicationRequest",
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": {"coding": [coding]},
        "subject": {"reference": of},
    }


def call(server: TestServer, hook: str, patient: str, **more: Any) -> list[dict[str, Any]]:
    """Call a service about a patient of the record; return its cards."""
    context = {"userId": "Practitioner/doc", "patientId": patient.split("/")[-1], **more.pop("context", {})}
    body = {"hook": hook, "hookInstance": INSTANCE, "context": context, "fhirServer": BASE, **more}
    answer = server.client.post(f"/cds-services/fhir-ai-{hook}", json=body)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["cards"]
    return found


def sign(server: TestServer, patient: str, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    drafts = [{"resource": {**each, "id": f"order-{n}", "status": "draft"}} for n, each in enumerate(orders)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": drafts}
    return call(server, "order-sign", patient, context={"draftOrders": bundle})


def summaries(found: list[dict[str, Any]]) -> list[str]:
    return [each["summary"] for each in found]


def test_the_services_are_found_with_prefetch_that_asks_for_what_they_need(server: TestServer) -> None:
    services = {each["id"]: each for each in server.client.get("/cds-services").json()["services"]}
    assert {name.removeprefix("fhir-ai-") for name in services} == {
        "patient-view", "order-sign", "encounter-discharge"
    }  # fmt: skip
    asked = services["fhir-ai-patient-view"]["prefetch"]
    assert "code=" in asked["observations"] and "_count=300" in asked["observations"]
    assert set(services["fhir-ai-encounter-discharge"]["prefetch"]) > set(asked)


def test_the_plugin_works_where_cds_hooks_is_off() -> None:
    with serving(plugins_disabled=but("fhir_ai")) as alone:
        patient = store(alone.client, person(60))
        assert alone.client.get("/cds-services").status_code == 404
        assert alone.client.get(f"/fhir/{patient}/$triage").status_code == 200


def test_a_high_news2_is_a_critical_card_with_its_source(server: TestServer) -> None:
    patient = store(server.client, person(60))
    store_all(server.client, vitals(patient, _9279_1=(28, "/min"), _59408_5=(90, "%"), _8867_4=(135, "/min")))
    (card,) = [each for each in call(server, "patient-view", patient) if "NEWS2" in each["summary"]]
    assert card["indicator"] == "critical"
    assert card["source"]["url"].startswith("https://www.rcp.ac.uk")
    assert {"code", "system", "display"} <= set(card["overrideReasons"][0])
    assert UUID(card["uuid"])
    assert "NEWS2" in card["detail"] and "Support for a clinician" in card["detail"]


def test_stroke_risk_without_an_anticoagulant_is_told_and_with_one_is_not(server: TestServer) -> None:
    patient = store(server.client, person(80))
    store(server.client, condition(patient, ICD10, "I48.0", 3000))
    assert any("no anticoagulant" in each for each in summaries(call(server, "patient-view", patient)))
    store(server.client, medicine(patient, RXNORM, "1364430", "apixaban 5 MG Oral Tablet"))
    assert not any("no anticoagulant" in each for each in summaries(call(server, "patient-view", patient)))


def test_what_was_not_sent_and_cannot_be_fetched_is_not_taken_for_absent(server: TestServer) -> None:
    old = {**person(80), "id": "far"}
    fibrillation = {**condition("Patient/far", ICD10, "I48.0", 3000), "id": "af"}
    diabetes = {**condition("Patient/far", ICD10, "E11.9", 9000), "id": "dm"}
    known = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": r} for r in (fibrillation, diabetes)],
    }
    body = {
        "hook": "patient-view",
        "hookInstance": INSTANCE,
        "context": {"userId": "Practitioner/x", "patientId": "far"},
    }

    def seen(**sent: Any) -> list[str]:
        answer = server.client.post("/cds-services/fhir-ai-patient-view", json={**body, "prefetch": sent})
        return [each["summary"] for each in answer.json()["cards"]]

    assert seen(patient=old, conditions=known) == []
    both = seen(patient=old, conditions=known, medicines=None, observations=None)
    assert [each[:5] for each in both] == ["Atria", "Tests"]


def test_tests_that_are_due_can_be_ordered_from_the_card(server: TestServer) -> None:
    patient = store(server.client, person(60))
    store(server.client, condition(patient, ICD10, "E11.9", 9000))
    store(server.client, measured(patient, "4548-4", 7, "%", 24 * 300))
    store(server.client, measured(patient, "98979-8", 80, "mL/min/{1.73_m2}", 24 * 30))
    (card,) = [each for each in call(server, "patient-view", patient) if "due" in each["summary"]]
    assert "Haemoglobin A1c: the newest is 300 days old" in card["detail"]
    assert "never recorded" in card["detail"] and "Filtration" not in card["detail"]
    orders = [each["actions"][0]["resource"] for each in card["suggestions"]]
    assert {each["code"]["coding"][0]["code"] for each in orders} == {"4548-4", "9318-7"}
    faults = server.client.post("/fhir/ServiceRequest/$validate", json=orders[0]).json()["issue"]
    assert [each for each in faults if each["severity"] in ("error", "fatal")] == []


def test_criteria_that_are_met_and_not_on_the_problem_list_are_shown_once_listed_no_more(server: TestServer) -> None:
    patient = store(server.client, person(70))
    store_all(
        server.client,
        [measured(patient, "98979-8", 45, "mL/min/{1.73_m2}", hours) for hours in (5, 24 * 100)],
    )
    (card,) = [each for each in call(server, "patient-view", patient) if "Criteria" in each["summary"]]
    assert "Chronic kidney disease" in card["summary"]
    listed = card["suggestions"][0]["actions"][0]["resource"]
    faults = server.client.post("/fhir/Condition/$validate", json=listed).json()["issue"]
    assert [each for each in faults if each["severity"] in ("error", "fatal")] == []
    store(server.client, listed)
    assert not any("Criteria" in each for each in summaries(call(server, "patient-view", patient)))


def test_red_flags_come_first(server: TestServer) -> None:
    patient = store(server.client, person(60))
    store_all(server.client, [condition(patient, ICD10, "R07.4"), condition(patient, ICD10, "E11.9", 9000)])
    found = call(server, "patient-view", patient)
    assert found[0]["summary"] == "Red flag: chest-pain"
    assert found[0]["indicator"] == "critical"


def test_an_anticoagulant_with_a_high_has_bled_is_warned_of(server: TestServer) -> None:
    patient = store(server.client, person(80))
    store_all(
        server.client,
        [
            condition(patient, ICD10, "I48.0", 3000), condition(patient, ICD10, "I63.9", 9000),
            measured(patient, "8480-6", 170, "mm[Hg]"), medicine(patient, ATC, "M01AE01"),
        ],
    )  # fmt: skip
    found = sign(server, patient, medicine(patient, ATC, "B01AF02"))
    assert [each["indicator"] for each in found] == ["warning", "warning"]
    assert "HAS-BLED" in found[0]["summary"] and "NSAID" in found[1]["summary"]
    assert "HAS-BLED 4 (high)" in found[0]["detail"]
    assert "Together with: M01AE01." in found[1]["detail"]


@pytest.mark.parametrize(
    ("order", "rate", "indicator"),
    [(("M01AE01", ""), 25, "critical"), (("861007", "metformin hydrochloride 500 MG Oral Tablet"), 25, "critical"),
     (("861007", "metformin hydrochloride 500 MG Oral Tablet"), 40, "warning"), (("J01GB03", ""), 25, "warning"),
     (("J01GB03", ""), 60, ""), (("C09AA03", ""), 25, "")],
)  # fmt: skip
def test_orders_against_the_kidneys_are_warned_of(
    server: TestServer, order: tuple[str, str], rate: float, indicator: str
) -> None:
    patient = store(server.client, person(60))
    store(server.client, measured(patient, "98979-8", rate, "mL/min/{1.73_m2}", 48))
    found = sign(server, patient, medicine(patient, RXNORM if order[1] else ATC, *order))
    assert [each["indicator"] for each in found] == ([indicator] if indicator else [])
    for card in found:
        assert f"Estimated glomerular filtration rate {rate:g}" in card["detail"]
        assert "2025-06-13" in card["detail"]  # the date of the result
    if indicator == "critical":
        assert found[0]["suggestions"][0]["actions"][0]["resourceId"] == "MedicationRequest/order-0"


def test_two_orders_of_one_bundle_are_held_to_each_other(server: TestServer) -> None:
    patient = store(server.client, person(60))
    found = sign(server, patient, medicine(patient, ATC, "C09AA03"), medicine(patient, ATC, "C09CA01"))
    assert sorted(each["summary"][:3] for each in found) == ["ACE", "ARB"]
    removed = {each["suggestions"][0]["actions"][0]["resourceId"] for each in found}
    assert removed == {"MedicationRequest/order-0", "MedicationRequest/order-1"}


def test_nothing_is_said_of_what_is_not_known_or_has_no_unit(server: TestServer) -> None:
    patient = store(server.client, person(60))
    assert sign(server, patient, medicine(patient, ATC, "M01AE01")) == []
    store(server.client, measured(patient, "98979-8", 12, None))
    assert sign(server, patient, medicine(patient, ATC, "M01AE01")) == []
    assert call(server, "order-sign", "Patient/nobody", context={"draftOrders": None}) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Observation", "code": []}, {"resourceType": "Nothing"}, {"resourceType": 5}, [], "x",
        {"resourceType": "Observation", "status": "final", "code": {"coding": [None]}},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out_and_said_to_be(server: TestServer, broken: Any) -> None:
    patient = store(server.client, person(60))
    sent = {"observations": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": broken}]}}
    (card,) = call(server, "patient-view", patient, prefetch=sent)
    assert card["summary"] == "1 resources could not be read and were left out"
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": broken}]}
    assert len(call(server, "order-sign", patient, context={"draftOrders": drafts})) == 1


def test_what_is_of_another_patient_is_left_out_and_said_to_be(server: TestServer) -> None:
    patient = store(server.client, person(60))
    potassium = measured("Patient/other", "2823-3", 7.4, "mmol/L")
    sent = {"observations": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": potassium}]}}
    (card,) = call(server, "patient-view", patient, prefetch={**sent, "patient": {**person(30), "id": "other"}})
    assert card["summary"] == "2 resources could not be read and were left out"
    assert "somebody else" in card["detail"]


@pytest.mark.parametrize("shape", [None, [], "x", 5, {}, {"resourceType": "Bundle"}, {"entry": "x"}])
def test_prefetch_and_orders_of_odd_shapes_are_nothing(server: TestServer, shape: Any) -> None:
    patient = store(server.client, person(60))
    for hook in ("patient-view", "order-sign"):
        sent = dict.fromkeys(("conditions", "medicines", "observations"), shape)
        assert call(server, hook, patient, prefetch=sent, context={"draftOrders": shape}) == []


def stay_of(server: TestServer, patient: str, days: float = 6, **more: Any) -> dict[str, Any]:
    encounter = {
        "resourceType": "Encounter", "status": "in-progress", "subject": {"reference": patient},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "period": {"start": (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")}, **more,
    }  # fmt: skip
    return {"encounterId": store(server.client, encounter).split("/")[1]}


URGENT = {"priority": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority", "code": "EM"}]}}


def test_lace_follow_up_and_pending_results_before_discharge(server: TestServer) -> None:
    patient = store(server.client, person(75))
    emergency = {"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"}}
    for days in (30, 60, 400):
        stay_of(server, patient, days, **emergency, status="finished")
    report = {"resourceType": "DiagnosticReport", "status": "preliminary", "subject": {"reference": patient}}
    store(server.client, {**report, "code": {"text": "Blood culture"}})
    store(server.client, condition(patient, ICD10, "I50.0", 9000))
    found = call(server, "encounter-discharge", patient, context=stay_of(server, patient, **URGENT))
    lace, follow, pending = found
    # LACE: 6 days 4, acute 3, heart failure 2, two emergency visits within 6 months 2
    assert "LACE index 11 (high)" in lace["detail"]
    assert lace["suggestions"][0]["label"] == "Ask for a follow-up visit within 7 days"
    assert (follow["indicator"], pending["indicator"]) == ("warning", "warning")
    assert "Blood culture" in pending["detail"]


def test_a_stay_of_which_nobody_says_whether_it_was_planned_has_no_lace(server: TestServer) -> None:
    patient = store(server.client, person(75))
    booked = {"resourceType": "Appointment", "status": "booked", "start": ago(-48), "end": ago(-49)}
    booked |= {"participant": [{"actor": {"reference": patient}, "status": "accepted"}]}
    store(server.client, booked | {"start": ago(-48), "end": ago(-49)})
    assert call(server, "encounter-discharge", patient, context=stay_of(server, patient)) == []


def context_of(server: TestServer) -> Any:
    assert server.app.assembly is not None
    return server.app.assembly.hosts["fhir_ai"].context


def answers(server: TestServer, **asked: Any) -> list[Override]:
    async def read() -> list[Override]:
        ctx: PluginContext = await context_of(server)()
        return await overrides(ctx, **asked)

    found: list[Override] = server._portal.call(read)
    return found


def send(server: TestServer, hook: str, card: dict[str, Any], **item: Any) -> None:
    given = {"card": card["uuid"], "outcomeTimestamp": "2026-01-01T00:00:00Z", **item}
    answer = server.client.post(f"/cds-services/fhir-ai-{hook}/feedback", json={"feedback": [given]})
    assert answer.status_code == 200, answer.text


def test_an_override_is_kept_with_its_reason_and_linked_to_the_output(server: TestServer) -> None:
    patient = store(server.client, person(60))
    rate = store(server.client, measured(patient, "98979-8", 25, "mL/min/{1.73_m2}", 48))
    (card,) = sign(server, patient, medicine(patient, ATC, "M01AE01"))
    reason = {"reason": {**card["overrideReasons"][1]}, "userComment": "creatinine daily"}
    send(server, "order-sign", card, outcome="overridden", overrideReason=reason)
    (kept,) = [each for each in answers(server, name="nsaid-kidney") if each.card == card["uuid"]]
    assert (kept.accepted, kept.reason, kept.version) == (False, "monitored", cards().version)
    guidance = server.client.get(f"/fhir/{kept.output}").json()
    assert guidance["subject"]["reference"] == patient
    assert guidance["meta"]["security"][0]["code"] == "AIAST"
    task = server.client.get(f"/fhir/{kept.task}").json()
    assert (task["status"], task["focus"]["reference"]) == ("rejected", kept.output)
    assert task["note"][0]["text"] == "creatinine daily"
    assert task["statusReason"]["coding"][0]["code"] == "monitored"
    found = server.client.get(f"/fhir/Provenance?target={kept.output}").json()
    (provenance,) = [each["resource"] for each in found["entry"]]
    assert [each["what"]["reference"] for each in provenance["entity"]] == [rate]
    for each in (guidance, task):
        faults = server.client.post(f"/fhir/{each['resourceType']}/$validate", json=each).json()["issue"]
        assert [issue for issue in faults if issue["severity"] in ("error", "fatal")] == []


def test_cards_and_answers_are_erased_with_their_patient(server: TestServer) -> None:
    patient = store(server.client, person(60))
    store(server.client, measured(patient, "98979-8", 25, "mL/min/{1.73_m2}", 48))
    (card,) = sign(server, patient, medicine(patient, ATC, "M01AE01"))
    send(server, "order-sign", card, outcome="overridden")

    async def found() -> set[tuple[str, str]]:
        ctx: PluginContext = await context_of(server)()
        return set((await belongings(ctx.core, patient.split("/")[1])).records)

    held = server._portal.call(found)
    assert {("fhir_ai.card", card["uuid"]), ("fhir_ai.override", card["uuid"])} <= held


def test_a_second_answer_replaces_the_first_and_keeps_the_output(server: TestServer) -> None:
    patient = store(server.client, person(60))
    store(server.client, measured(patient, "98979-8", 25, "mL/min/{1.73_m2}", 48))
    (card,) = sign(server, patient, medicine(patient, ATC, "M01AE01"))
    send(server, "order-sign", card, outcome="overridden")
    (first,) = [each for each in answers(server) if each.card == card["uuid"]]
    chosen = [{"id": card["suggestions"][0]["uuid"]}]
    send(server, "order-sign", card, outcome="accepted", acceptedSuggestions=chosen)
    (second,) = [each for each in answers(server) if each.card == card["uuid"]]
    assert (second.accepted, second.output) == (True, first.output)
    assert second.task != first.task

    async def share() -> tuple[float | None, int]:
        return await accepted_share(await context_of(server)(), name="no-such-row")

    assert server._portal.call(share) == (None, 0)


def test_cards_of_patients_of_other_records_are_answered_without_resources(server: TestServer) -> None:
    rate = {**measured("", "98979-8", 25, "mL/min/{1.73_m2}", 48), "id": "x"}
    sent = {
        "patient": {**person(60), "id": "far"}, "conditions": None, "medicines": None,
        "observations": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": rate}]},
    }  # fmt: skip
    order = {"resource": {**medicine("Patient/far", ATC, "M01AE01"), "id": "o", "status": "draft"}}
    context = {"userId": "Practitioner/x", "patientId": "far"}
    context |= {"draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [order]}}  # type: ignore[dict-item]
    body = {"hook": "order-sign", "hookInstance": INSTANCE, "context": context, "prefetch": sent}
    (card,) = server.client.post("/cds-services/fhir-ai-order-sign", json=body).json()["cards"]
    before = server.client.get("/fhir/Task?_summary=count").json()["total"]
    send(server, "order-sign", card, outcome="overridden")
    (kept,) = [each for each in answers(server) if each.card == card["uuid"]]
    assert (kept.output, kept.task) == ("", "")
    assert server.client.get("/fhir/Task?_summary=count").json()["total"] == before


def test_cards_that_nobody_answered_are_forgotten(server: TestServer) -> None:
    patient = store(server.client, person(60))
    store(server.client, measured(patient, "98979-8", 25, "mL/min/{1.73_m2}", 48))
    (card,) = sign(server, patient, medicine(patient, ATC, "M01AE01"))
    known = len(answers(server))
    server.clock.go_on(31 * 86_400)

    async def forget() -> None:
        await sweep(await context_of(server)())

    server._portal.call(forget)
    send(server, "order-sign", card, outcome="overridden")
    assert len(answers(server)) == known


def test_the_table_of_cards_holds_to_the_schema_beside_it() -> None:
    raw = json.loads((FOLDER / "cards.json").read_text())
    schema = json.loads((FOLDER / "cards.schema.json").read_text())
    assert schema == json.loads(json.dumps(Cards.model_json_schema(by_alias=True)))
    jsonschema.validate(raw, schema)
    used = {row.source for row in (*cards().rows, *cards().due)} | {"cms-tcm", "r4", "roy2005", "red-flags"}
    assert used == set(cards().sources)
    raw["rows"][0]["source"] = "somebody"
    with pytest.raises(ValidationError):
        Cards.model_validate(raw)
