"""A standalone launch from the first request to data, as an app walks it."""

from dataclasses import replace

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import PASSWORD, REDIRECT, Ehr


async def test_an_app_gets_what_was_allowed_of_one_patient_and_no_more(ehr: Ehr) -> None:
    grant = await ehr.granted("launch/patient patient/*.rs openid fhirUser", find="Able", patient="ann")
    assert ehr.steps == ["/auth/sign-in", "/auth/consent", "/auth/consent", "/auth/consent"]
    assert (grant["patient"], grant["token_type"], grant["expires_in"]) == ("ann", "Bearer", 3600)
    token = grant["access_token"]
    found = (await ehr.fhir("Observation", token)).json()
    assert {entry["resource"]["id"] for entry in found["entry"]} == {"ann-pulse", "ann-lab"}
    statuses = {
        url: (await ehr.fhir(url, token)).status_code
        for url in ("Patient/ann", "Patient/bob", "Observation/bob-pulse", "Provenance/of-ann", "Binary/of-bob",
                    "Practitioner/doc", "Patient/nobody")
    }  # fmt: skip
    assert statuses == {
        "Patient/ann": 200, "Patient/bob": 404, "Observation/bob-pulse": 404, "Provenance/of-ann": 200,
        "Binary/of-bob": 404, "Practitioner/doc": 200, "Patient/nobody": 404,
    }  # fmt: skip


async def test_without_a_token_there_is_nothing_but_the_public_documents(ehr: Ehr) -> None:
    for url in ("Patient", "Patient/ann", "", "Patient/ann/$everything", "_history", "$export", "Nothing/1"):
        answer = await ehr.fhir(url)
        assert (url, answer.status_code) == (url, 401 if url not in ("Nothing/1",) else answer.status_code)
        assert answer.status_code in (401, 404)
    assert (await ehr.fhir("Patient")).headers["www-authenticate"].startswith("Bearer")
    assert (await ehr.fhir("metadata")).status_code == 200
    assert (await ehr.fhir(".well-known/smart-configuration")).status_code == 200


async def test_a_write_outside_of_the_grant_is_refused(ehr: Ehr) -> None:
    token = (await ehr.granted("launch/patient patient/*.cruds", find="Carter", patient="cay"))["access_token"]
    mine = (await ehr.fhir("Observation/cay-pulse", token)).json()
    moved = mine | {"subject": {"reference": "Patient/bob"}}
    assert (await ehr.fhir("Observation/cay-pulse", token, "PUT", mine | {"status": "amended"})).status_code == 200
    assert (await ehr.fhir("Observation/cay-pulse", token, "PUT", moved)).status_code == 403
    fresh = {key: value for key, value in moved.items() if key != "id"}
    assert (await ehr.fhir("Observation", token, "POST", fresh)).status_code == 403
    assert (await ehr.fhir("Observation", token, "POST", fresh | {"subject": mine["subject"]})).status_code == 201
    assert (await ehr.fhir("Observation/bob-pulse", token, "DELETE")).status_code == 204
    everything = (await ehr.granted("user/*.rs"))["access_token"]
    assert (await ehr.fhir("Observation/bob-pulse", everything)).status_code == 200, "it was not deleted"


async def test_granular_scopes_narrow_reads_and_writes(ehr: Ehr) -> None:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    scope = f"patient/Observation.rs?category={system}|laboratory"
    token = (await ehr.granted(f"launch/patient {scope}", find="Able", patient="ann"))["access_token"]
    assert (await ehr.fhir("Observation/ann-lab", token)).status_code == 200
    assert (await ehr.fhir("Observation/ann-pulse", token)).status_code == 404
    assert (await ehr.fhir("Patient/ann", token)).status_code == 403
    found = (await ehr.fhir("Observation?_total=accurate", token)).json()
    assert found["total"] == 1


async def test_a_user_may_take_away_scopes(ehr: Ehr) -> None:
    told = await ehr.granted("user/Observation.rs user/Patient.rs", without="user/Patient.rs")
    assert told["scope"] == "user/Observation.rs"


async def test_a_patient_who_signs_in_sees_themselves_alone(ehr: Ehr) -> None:
    grant = await ehr.granted("user/*.rs launch/patient", "ann")
    assert grant["patient"] == "ann"
    found = (await ehr.fhir("Patient", grant["access_token"])).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["ann"]


async def test_who_denies_is_left_alone(ehr: Ehr) -> None:
    told = await ehr.walked(await ehr.asked("user/*.rs"), decision="deny")
    assert told == {"error": "access_denied", "state": "s1", "iss": "http://ehr.example/fhir"}


async def test_a_code_is_good_once_and_a_second_use_ends_what_the_first_gave(ehr: Ehr) -> None:
    code = (await ehr.walked(await ehr.asked("user/*.rs offline_access")))["code"]
    first = (await ehr.redeemed(code)).json()
    assert (await ehr.fhir("Patient/ann", first["access_token"])).status_code == 200
    second = await ehr.redeemed(code)
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    refreshed = await ehr.token(
        {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": "public-app"}
    )
    assert refreshed.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"aud": "https://other.example/fhir"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "system/*.rs nothing"}, "invalid_scope"),
    ],
)
async def test_a_bad_request_goes_back_to_the_app_with_its_state(ehr: Ehr, change: dict[str, str], error: str) -> None:
    answer = await ehr.asked(**{"scope": "user/*.rs"} | change)
    assert answer.headers["location"].startswith(f"{REDIRECT}?")
    told = await ehr.walked(answer)
    assert (told["error"], told["state"]) == (error, "s1")


@pytest.mark.parametrize("change", [{"redirect_uri": f"{REDIRECT}/x"}, {"client_id": "nobody"}, {"client_id": ""}])
async def test_nobody_is_sent_to_an_address_that_was_not_registered(ehr: Ehr, change: dict[str, str]) -> None:
    answer = await ehr.asked("user/*.rs", **change)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


async def test_refresh_tokens_rotate_and_a_lost_answer_is_given_again(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs offline_access")
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": "public-app"}
    second = (await ehr.token(form)).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await ehr.token(form)).json() == second
    assert (await ehr.fhir("Patient/ann", second["access_token"])).status_code == 200


async def test_five_wrong_passwords_lock_the_account(ehr: Ehr) -> None:
    await save_user(ehr.desk, replace(new_user("locked"), password=ehr.doctor.password))
    for _ in range(5):
        answer = await ehr.http.post("/auth/sign-in", data={"name": "locked", "password": "wrong"})
        assert answer.status_code == 403
    right = await ehr.http.post("/auth/sign-in", data={"name": "locked", "password": PASSWORD})
    assert right.status_code == 403


async def test_nobody_makes_jobs_without_a_token(ehr: Ehr) -> None:
    answer = await ehr.http.get("/fhir/metadata", headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "CapabilityStatement")
    assert (await ehr.http.get("/fhir/Patient", headers={"prefer": "respond-async"})).status_code == 401


async def test_whatever_is_wrong_who_shows_no_token_is_asked_for_one(ehr: Ehr) -> None:
    for method, url in (
        ("POST", "Patient/ann"), ("GET", "Nope"), ("GET", "/Patient"), ("DELETE", "Patient"), ("GET", "Patient?x=1"),
        ("PUT", "Patient"), ("GET", "Patient/ann/_history/a/b"),
    ):  # fmt: skip
        assert (await ehr.fhir(url, method=method)).status_code == 401, (method, url)
    assert (await ehr.fhir("metadata?mode=nonsense")).status_code == 400
