"""A CDS client finds the services of plugins, calls them, and says what became of their cards."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from fhir_cds_hooks.registry import Registry

from tests.plugins.fhir_cds_hooks.conftest import BASE, INSTANCE, body

ANN = {"resourceType": "Patient", "id": "ann", "name": [{"family": "Able"}]}
PENICILLIN = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "7980"}]}
ORDERS = {
    "selections": ["MedicationRequest/one"],
    "draftOrders": {
        "resourceType": "Bundle", "type": "collection",
        "entry": [{"resource": {"resourceType": "MedicationRequest", "id": id_, "status": "draft", "intent": "order",
                                "subject": {"reference": "Patient/ann"}, "medicationCodeableConcept": PENICILLIN}}
                  for id_ in ("one", "two")],
    },
}  # fmt: skip


async def call(http: httpx.AsyncClient, name: str, given: Any) -> httpx.Response:
    return await http.post(f"/cds-services/{name}", json=given)


async def test_discovery_names_what_plugins_added(http: httpx.AsyncClient) -> None:
    services = {each["id"]: each for each in (await http.get("/cds-services")).json()["services"]}
    assert services["allergies"] == {
        "id": "allergies", "hook": "order-select", "title": "Allergies", "description": "Warns of allergies.",
        "prefetch": {"allergies": "AllergyIntolerance?patient={{context.patientId}}"},
    }  # fmt: skip
    assert {"allergies", "broken", "greeting"} <= set(services)


async def test_a_service_answers_from_what_the_client_sent(http: httpx.AsyncClient) -> None:
    allergy = {"resourceType": "AllergyIntolerance", "code": PENICILLIN, "patient": {"reference": "Patient/ann"}}
    sent = {"allergies": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": allergy}]}}
    answer = await call(http, "allergies", body("order-select", context=ORDERS, prefetch=sent))
    [card] = answer.json()["cards"]
    assert UUID(card["uuid"])
    assert (card["indicator"], "one" in card["summary"]) == ("critical", True)
    assert card["suggestions"][0]["actions"][0]["resourceId"] == "MedicationRequest/one"


async def test_a_null_in_prefetch_is_an_answer(http: httpx.AsyncClient) -> None:
    answer = await call(http, "allergies", body("order-select", context=ORDERS, prefetch={"allergies": None}))
    assert answer.json() == {"cards": []}


async def test_what_was_not_sent_is_taken_from_our_own_record(http: httpx.AsyncClient) -> None:
    assert (await http.put("/fhir/Patient/ann", json=ANN)).status_code == 201
    answer = await call(http, "greeting", body(fhirServer=BASE))
    assert answer.json()["cards"][0]["summary"] == "Able, 0 visits"
    answer = await call(http, "greeting", body(patient="nobody", fhirServer=BASE))
    assert answer.json()["cards"][0]["summary"] == "nobody, 0 visits"


async def test_optional_data_may_be_missing_and_the_rest_may_not(http: httpx.AsyncClient) -> None:
    answer = await call(http, "greeting", body(prefetch={"patient": ANN}))
    assert answer.json()["cards"][0]["summary"] == "Able, 0 visits"
    answer = await call(http, "greeting", body())
    assert (answer.status_code, "patient: it was not sent" in answer.text) == (412, True)
    answer = await call(http, "greeting", body(prefetch={"patient": {"resourceType": "OperationOutcome"}}))
    assert answer.status_code == 412


async def test_no_server_is_asked_that_is_not_allowed(http: httpx.AsyncClient) -> None:
    for url in ("http://169.254.169.254/fhir", "http://localhost:1/fhir", f"{BASE}/../admin", "file:///etc/passwd"):
        answer = await call(http, "greeting", body(fhirServer=url))
        assert (answer.status_code, "there is no FHIR server" in answer.text) == (412, True), url


@pytest.mark.parametrize("how", ["throw", "text", "card"])
async def test_a_service_that_fails_says_so_and_nothing_else(http: httpx.AsyncClient, how: str) -> None:
    answer = await call(http, "broken", body(context={"how": how}))
    assert (answer.status_code, "broken" in answer.text) == (500, True)
    assert "Miller" not in answer.text


async def test_a_service_that_takes_too_long_is_cut_off(http: httpx.AsyncClient) -> None:
    assert (await call(http, "broken", body(context={"how": "slow"}))).status_code == 504


@pytest.mark.parametrize(
    ("given", "status", "place"),
    [
        ([], 400, "http.body"), ("x", 400, "http.body"), ({}, 422, "hook"),
        (body("order-sign"), 422, "hook"), (body() | {"hookInstance": "1"}, 422, "hookInstance"),
        (body() | {"context": None}, 422, "context"), (body(prefetch=[1]), 422, "prefetch"),
        (body(fhirServer=5), 422, "fhirServer"), (body(fhirAuthorization={"access_token": "x"}), 422, "fhirServer"),
        (body(fhirAuthorization="x", fhirServer=BASE), 422, "fhirAuthorization"),
        (body(patient=["a"]) | {"context": {"patientId": {"a": 1}}}, 412, "prefetch"),
    ],
)  # fmt: skip
async def test_bad_calls_are_refused_with_the_place(
    http: httpx.AsyncClient, given: Any, status: int, place: str
) -> None:
    answer = await call(http, "greeting", given)
    assert answer.status_code == status, answer.text
    assert place in [each for issue in answer.json()["issue"] for each in issue["expression"]]


async def test_broken_json_and_unknown_services_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/cds-services/greeting", content=b'{"hook":')
    assert answer.status_code == 400
    assert (await call(http, "nothing", body())).status_code == 404
    assert (await http.get("/cds-services/greeting")).status_code == 405


async def test_a_context_cannot_break_out_of_its_place_in_a_template(http: httpx.AsyncClient) -> None:
    assert (await http.put("/fhir/Patient/ann", json=ANN)).status_code == 201
    for id_ in ("x/../ann?_format=xml&", "ann/_history", "ann?_elements=id", "ann/$everything"):
        answer = await call(http, "greeting", body(patient=id_, fhirServer=BASE))
        assert answer.status_code in (200, 412)
        assert "Able" not in answer.text


async def test_feedback_is_kept_and_told_to_the_plugin(http: httpx.AsyncClient) -> None:
    accepted = {"card": INSTANCE, "outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}],
                "outcomeTimestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
    refused = {"card": INSTANCE, "outcome": "overridden", "overrideReason": {"reason": {"code": "c", "system": "s"}},
               "outcomeTimestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
    answer = await http.post("/cds-services/allergies/feedback", json={"feedback": [accepted, refused]})
    assert answer.status_code == 200, answer.text
    from allergy_check.plugin import HEARD

    assert HEARD[-2:] == [accepted, refused]


@pytest.mark.parametrize(
    ("given", "status"),
    [({}, 400), ({"feedback": []}, 400), ({"feedback": [1]}, 422), ({"feedback": [{}] * 4}, 400),
     ({"feedback": [{"card": "1", "outcome": "ignored"}]}, 422),
     ({"feedback": [{"card": INSTANCE, "outcome": "accepted", "outcomeTimestamp": "2026"}]}, 422)],
)  # fmt: skip
async def test_bad_feedback_is_refused(http: httpx.AsyncClient, given: Any, status: int) -> None:
    answer = await http.post("/cds-services/allergies/feedback", json=given)
    assert answer.status_code == status, answer.text


async def test_pages_of_allowed_origins_may_call(http: httpx.AsyncClient) -> None:
    asks = {"Origin": "https://ehr.example", "Access-Control-Request-Method": "POST"}
    preflight = await http.options("/cds-services/greeting", headers=asks)
    assert preflight.is_success
    assert preflight.headers["access-control-allow-origin"] == "https://ehr.example"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    refused = await http.post("/cds-services/greeting", json={}, headers={"Origin": "https://ehr.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (422, "https://ehr.example")
    other = await http.options("/cds-services", headers={**asks, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_registry_refuses_what_it_cannot_serve() -> None:
    registry = Registry()

    async def handler(call: Any) -> list[Any]:
        return []

    registry.add("one", hook="patient-view", description="x", handler=handler)
    for id_, hook, more in (
        ("one", "patient-view", {}), ("a/b", "patient-view", {}), ("two", "Patient View", {}),
        ("three", "patient-view", {"optional": ("x",)}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="CDS service"):
            registry.add(id_, hook=hook, description="x", handler=handler, **more)
