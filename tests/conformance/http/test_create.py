"""Create. Spec: https://hl7.org/fhir/R4/http.html#create"""

import json

import pytest

from tests.builders import identifier, observation, patient, resource
from tests.conformance.http.fhir import START, Fhir, Serve


async def test_create_gives_an_id_a_version_and_an_instant(fhir: Fhir) -> None:
    answer = await fhir.post("Patient", patient(active=True))
    assert answer.status == 201
    assert answer.json["id"] == answer.id
    assert answer.json["meta"]["versionId"] == "1"
    assert answer.json["meta"]["lastUpdated"].startswith("2023-11-14T22:13:20.")
    assert answer.response is not None and answer.response.version is not None
    assert answer.response.version.last_updated >= START
    assert (await fhir.get(f"Patient/{answer.id}")).json == answer.json


async def test_create_ignores_the_id_of_the_body(fhir: Fhir) -> None:
    answer = await fhir.post("Patient", patient("mine"))
    assert answer.status == 201
    assert answer.id != "mine"
    assert (await fhir.get("Patient/mine")).status == 404


async def test_create_ignores_an_id_that_is_no_id(fhir: Fhir) -> None:
    assert (await fhir.post("Patient", patient("not an id!"))).status == 201


async def test_create_ignores_version_and_instant_of_the_body_and_keeps_the_rest_of_meta(fhir: Fhir) -> None:
    meta = {"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "t"}], "source": "urn:s"}
    answer = await fhir.post("Patient", patient(meta=meta))
    assert answer.json["meta"]["versionId"] == "1"
    assert answer.json["meta"]["lastUpdated"] > "2023"
    assert answer.json["meta"]["tag"] == [{"code": "t"}]
    assert answer.json["meta"]["source"] == "urn:s"


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.20}}',
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1E+2}}',
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":0.10000000000000000001}}',
        b'{ "resourceType" : "Observation" , "status":"final", "code":{"text":"\\u00e9 \\ud83d\\ude00"} }',
        '{"resourceType":"Observation","status":"final","code":{"text":"é 😀 \\" \\\\ /"}}'.encode(),
    ],
)
async def test_content_comes_back_token_for_token(fhir: Fhir, body: bytes) -> None:
    created = await fhir.post("Observation", body)
    found = await fhir.get(f"Observation/{created.id}")
    for token in (b'"value":1.20', b'"value":1E+2', b'"value":0.10000000000000000001'):
        assert (token in body) == (token in found.body)
    assert found.json["code"] == json.loads(body)["code"]


async def test_contained_resources_and_extensions_are_kept(fhir: Fhir) -> None:
    body = observation(
        subject="#p",
        contained=[patient("p", active=True)],
        _status={"extension": [{"url": "http://example.org/x", "valueCode": "y"}]},
    )
    created = await fhir.post("Observation", body)
    found = (await fhir.get(f"Observation/{created.id}")).json
    assert body.items() <= found.items()


PREFERENCES = {
    None: "Patient",
    "return=representation": "Patient",
    "return=OperationOutcome": "OperationOutcome",
    "return=minimal": None,
    "handling=strict; return=minimal": None,
}


@pytest.mark.parametrize("prefer", PREFERENCES)
async def test_prefer_says_what_comes_back(fhir: Fhir, prefer: str | None) -> None:
    headers = {"prefer": prefer} if prefer else {}
    answer = await fhir.post("Patient", patient(), **headers)
    assert answer.status == 201
    assert (answer.json["resourceType"] if answer.body else None) == PREFERENCES[prefer]
    assert answer.version == 1


async def test_an_outcome_of_success_holds_no_errors(fhir: Fhir) -> None:
    answer = await fhir.post("Patient", patient(), prefer="return=OperationOutcome")
    severities = {issue["severity"] for issue in answer.json["issue"]}
    assert severities <= {"information", "warning"}


BAD_BODIES = {
    "no body": (b"", 400),
    "broken JSON": (b'{"resourceType":"Patient",}', 400),
    "not JSON": (b"<Patient/>", 400),
    "cut off": (b'{"resourceType":"Patient","active":tr', 400),
    "not UTF-8": (b'{"resourceType":"Patient","language":"\xff"}', 400),
    "a list": (b"[]", 400),
    "a string": (b'"Patient"', 400),
    "null": (b"null", 400),
    "duplicate members": (b'{"resourceType":"Patient","active":true,"active":false}', 400),
    "duplicate nested members": (b'{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}', 400),
    "NUL": (b'{"resourceType":"Patient","language":"a\\u0000b"}', 400),
    "too deep": (b'{"resourceType":"Patient","x":' + b"[" * 300 + b"]" * 300 + b"}", 400),
    "far too deep": (b'{"resourceType":"Patient","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "another type": (b'{"resourceType":"Observation","status":"final","code":{"text":"x"}}', 400),
    "no type": (b'{"active":true}', 400),
    "type that is no text": (b'{"resourceType":7}', 400),
    "meta that is no object": (b'{"resourceType":"Patient","meta":"x"}', None),
    "NaN": (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400),
    "unknown element": (b'{"resourceType":"Patient","colour":"red"}', 422),
    "wrong type": (b'{"resourceType":"Patient","active":"yes"}', 422),
    "bad code": (b'{"resourceType":"Patient","gender":"m"}', 422),
    "no such day": (b'{"resourceType":"Patient","birthDate":"2023-02-30"}', 422),
    "empty object": (b'{"resourceType":"Patient","maritalStatus":{}}', 422),
    "empty array": (b'{"resourceType":"Patient","name":[]}', 422),
    "null value": (b'{"resourceType":"Patient","active":null}', 422),
}


@pytest.mark.parametrize("what", BAD_BODIES)
async def test_bad_bodies_are_refused_and_nothing_is_stored(fhir: Fhir, what: str) -> None:
    body, status = BAD_BODIES[what]
    answer = await fhir.post("Patient", body)
    assert answer.status in ((status,) if status else (400, 422))
    assert answer.json["resourceType"] == "OperationOutcome"
    assert answer.text
    assert (await fhir.get("_history")).entries == []


async def test_all_findings_are_named_at_once_with_their_places(fhir: Fhir) -> None:
    answer = await fhir.post("Patient", patient(gender="m", birthDate="x", colour="red"))
    assert answer.status == 422
    assert {"Patient.gender", "Patient.birthDate"} <= set(answer.expressions)
    assert sum(issue["severity"] == "error" for issue in answer.json["issue"]) == 3
    assert "warning" in {issue["severity"] for issue in answer.json["issue"]}


async def test_validation_can_be_switched_off(serve: Serve) -> None:
    fhir = await serve(validation="off")
    assert (await fhir.post("Patient", patient(colour="red"))).status == 201
    assert (await fhir.post("Patient", observation())).status == 400


async def test_every_resource_type_with_an_endpoint_can_be_created_if_valid(fhir: Fhir) -> None:
    for type_ in ("Basic", "Binary", "Bundle", "Linkage", "Bundle"):
        body = {
            "Basic": {"code": {"text": "x"}},
            "Binary": {"contentType": "text/plain"},
            "Bundle": {"type": "collection"},
            "Linkage": {"item": [{"type": "source", "resource": {"display": name}} for name in ("x", "y")]},
        }[type_]
        assert (await fhir.post(type_, resource(type_, **body))).status == 201


async def test_large_resources_are_prepared_beside_the_loop_with_the_same_result(fhir: Fhir) -> None:
    many = [{"system": "urn:s", "value": f"value-{number}"} for number in range(3_000)]
    created = await fhir.post("Patient", patient(identifier=many))
    assert created.status == 201
    assert (await fhir.get("Patient?identifier=urn:s|value-2999")).ids == [created.id]
    assert (await fhir.post("Patient", patient(identifier=[*many, {"value": 7}]))).status == 422


async def test_the_same_identifier_twice_makes_two_resources_without_a_condition(fhir: Fhir) -> None:
    await fhir.post("Patient", patient(identifier=identifier("1")))
    await fhir.post("Patient", patient(identifier=identifier("1")))
    assert len((await fhir.get("Patient?identifier=1")).ids) == 2
