"""What scopes let an app do."""

import pytest

from fhir_server.auth.scopes import parse_scope
from tests.conformance.smart.conftest import PUBLIC, SERVICE, Ehr, observation, record
from tests.conformance.smart.requirements import requirement

LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


async def seen(ehr: Ehr, token: str, url: str) -> set[str]:
    answer = await ehr.fhir(url, token)
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ())}


@requirement("119")
async def test_a_scope_gives_no_more_than_the_user_may_see(ehr: Ehr) -> None:
    """A patient who grants `user/*.cruds` grants what a patient may see, and mum what concerns her child."""
    ann = (await ehr.granted("user/*.cruds launch/patient", "ann"))["access_token"]
    assert await seen(ehr, ann, "Patient") == {"ann"}
    assert (await ehr.fhir("Observation/bob-pulse", ann)).status_code == 404
    async with ehr.browser() as other:
        grant = await other.granted("launch/patient patient/*.rs", "mum")
    assert grant["patient"] == "cay"
    assert await seen(ehr, grant["access_token"], "Patient") == {"cay"}


@requirement("123")
async def test_the_scope_to_update_lets_an_update_create(ehr: Ehr) -> None:
    token = await ehr.bearer("user/Basic.ru", user=ehr.doctor)
    made = record("Basic", "made-by-put", code={"text": "x"})
    assert (await ehr.fhir("Basic/made-by-put", token, "PUT", made)).status_code == 201
    assert (await ehr.fhir("Basic", token, "POST", made)).status_code == 403


@requirement("127", "128", "369")
@pytest.mark.parametrize(("first", "second"), [("read", "rs"), ("write", "cud"), ("*", "cruds")])
async def test_scopes_of_version_one_mean_those_of_version_two(ehr: Ehr, first: str, second: str) -> None:
    scope = parse_scope(f"patient/Observation.{first}")
    assert scope is not None and scope.letters == second
    body = await ehr.granted(f"user/Observation.{first}")
    assert body["scope"] == f"user/Observation.{first}", "it comes back as it was asked for"
    fresh = {key: value for key, value in observation("x", "cay").items() if key != "id"}
    statuses = [
        (await ehr.fhir("Observation?code=none", body["access_token"])).status_code,
        (await ehr.fhir("Observation", body["access_token"], "POST", fresh)).status_code,
    ]
    assert statuses == [200 if "s" in second else 403, 201 if "c" in second else 403]


@requirement("130")
async def test_each_entry_of_a_batch_is_asked_for_by_itself(ehr: Ehr) -> None:
    token = await ehr.bearer("user/Patient.r", user=ehr.doctor)
    entries = [
        {"request": {"method": "GET", "url": "Patient/ann"}},
        {"request": {"method": "GET", "url": "Observation/ann-pulse"}},
        {"request": {"method": "DELETE", "url": "Patient/ann"}},
        {"request": {"method": "POST", "url": "Basic"}, "resource": {"resourceType": "Basic", "code": {"text": "x"}}},
    ]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = (await ehr.http.post("/fhir", json=batch, headers={"authorization": f"Bearer {token}"})).json()
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["200", "403", "403", "403"]
    whole = await ehr.http.post(
        "/fhir", json=batch | {"type": "transaction"}, headers={"authorization": f"Bearer {token}"}
    )
    assert whole.status_code == 403


@requirement("136", "170", "367", "164")
async def test_a_scope_about_a_patient_is_about_the_one_in_context(ehr: Ehr) -> None:
    for name in ("ann", "bob"):
        grant = await ehr.granted("patient/Observation.rs", find=name, patient=name)
        found = await seen(ehr, grant["access_token"], "Observation")
        assert grant["patient"] == name and found and all(id_.startswith(f"{name}-") for id_ in found)
        ehr.http.cookies.clear()


@requirement("138")
async def test_people_and_places_around_a_patient_may_be_read(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
    assert (await ehr.fhir("Practitioner/doc", token)).status_code == 200


@requirement("139")
async def test_a_link_between_patients_is_not_followed(ehr: Ehr) -> None:
    """docs/smart.md says so."""
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="cay")
    linked = (await ehr.fhir("Patient/cay", token)).json()["link"][0]["other"]["reference"]
    assert (linked, (await ehr.fhir(linked, token)).status_code) == ("Patient/bob", 404)
    assert (await ehr.fhir("Observation?patient=bob", token)).json().get("entry") is None


@requirement("140", "368")
async def test_a_scope_about_a_user_is_about_what_the_user_may_see(ehr: Ehr) -> None:
    token = (await ehr.granted("user/Patient.rs"))["access_token"]
    assert {"ann", "bob", "cay"} <= await seen(ehr, token, "Patient")


@requirement("142")
async def test_a_scope_about_the_system_needs_no_user(ehr: Ehr) -> None:
    body = (await ehr.served("system/Patient.rs")).json()
    assert {"ann", "bob", "cay"} <= await seen(ehr, body["access_token"], "Patient")
    assert "system" not in (await ehr.granted("user/Patient.rs system/*.rs"))["scope"], "a user cannot grant it"


@requirement("144")
async def test_a_wildcard_is_about_every_type(ehr: Ehr) -> None:
    token = await ehr.bearer("system/*.rs", SERVICE)
    types = [each["type"] for each in (await ehr.fhir("metadata")).json()["rest"][0]["resource"]]
    assert len(types) > 140
    refused = [type_ for type_ in types if (await ehr.fhir(f"{type_}?_count=0", token)).status_code != 200]
    assert refused == []


@requirement("370")
async def test_a_granular_scope_is_about_what_its_search_finds(ehr: Ehr) -> None:
    token = (await ehr.granted(f"user/Observation.rs?category={LABORATORY}"))["access_token"]
    assert await seen(ehr, token, "Observation") == {"ann-lab"}
    assert (await ehr.fhir("Observation/ann-pulse", token)).status_code == 404


@requirement("217")
async def test_scopes_of_our_own_stand_in_their_namespace(ehr: Ehr) -> None:
    names = (await ehr.configuration())["scopes_supported"]
    standard = {"openid", "fhirUser", "profile", "launch", "offline_access", "online_access"}
    own = [name for name in names if name not in standard and not name.startswith(("launch/", "patient/", "user/"))]
    assert all(name.startswith(("system/", "__")) for name in own)
    assert parse_scope("__launch") is None


@requirement("389")
@pytest.mark.parametrize("name", ["patient/*.cruds", "user/*.read", "online_access", "launch/encounter", "fhirUser"])
async def test_scopes_that_are_told_can_be_had(ehr: Ehr, name: str) -> None:
    assert name in (await ehr.configuration())["scopes_supported"]
    told = await ehr.walked(await ehr.asked(f"{name} user/Patient.rs"), find="Able", patient="ann")
    assert name in (await ehr.redeemed(told["code"], PUBLIC)).json()["scope"].split()


@requirement("247")
async def test_nothing_is_open_but_what_discovery_needs(ehr: Ehr) -> None:
    for url in ("", "Patient", "Patient/ann", "_history", "$export", "Patient/$everything", "Binary/of-bob",
                "$job/1", "StructureDefinition", "Patient/ann/_history/1", "Patient/ann/Observation"):  # fmt: skip
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            answer = await ehr.fhir(url, method=method)
            assert answer.status_code in (400, 401, 404, 405, 415), (method, url, answer.status_code)
            assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await ehr.fhir("metadata")).status_code == 200
