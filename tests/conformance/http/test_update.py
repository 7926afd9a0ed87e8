"""Update, update as create and version aware update.

Spec: https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#concurrency
"""

import asyncio

import pytest

from tests.builders import observation, patient
from tests.conformance.http.fhir import Fhir, Serve


async def test_update_makes_the_next_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.put("Patient/a", patient("a", active=True))
    assert (answer.status, answer.version) == (200, 2)
    assert answer.json["active"] is True
    assert answer.json["meta"]["versionId"] == "2"


async def test_update_replaces_the_whole_content(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True, gender="male"))
    await fhir.put("Patient/a", patient("a", gender="female"))
    assert "active" not in (await fhir.get("Patient/a")).json


async def test_update_of_what_does_not_exist_creates_it(fhir: Fhir) -> None:
    answer = await fhir.put("Patient/a.B-9", patient("a.B-9"))
    assert (answer.status, answer.version) == (201, 1)


async def test_update_brings_back_to_life_what_was_deleted(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    await fhir.delete("Patient/a")
    answer = await fhir.put("Patient/a", patient("a"))
    assert (answer.status, answer.version) == (201, 3)
    assert (await fhir.get("Patient/a")).status == 200
    assert (await fhir.get("Patient?_id=a")).ids == ["a"]


async def test_update_as_create_can_be_switched_off(serve: Serve) -> None:
    fhir = await serve(update_create=False)
    assert (await fhir.put("Patient/a", patient("a"))).status == 405
    created = await fhir.post("Patient", patient())
    assert (await fhir.put(f"Patient/{created.id}", patient(created.id, active=True))).status == 200
    await fhir.delete(f"Patient/{created.id}")
    assert (await fhir.put(f"Patient/{created.id}", patient(created.id))).status == 201


@pytest.mark.parametrize("body", [patient(), patient("b"), {"resourceType": "Patient", "id": 7}])
async def test_update_needs_the_same_id_in_body_and_url(fhir: Fhir, body: dict[str, object]) -> None:
    answer = await fhir.put("Patient/a", body)
    assert answer.status == 400
    assert answer.expressions == ["Patient.id"]
    assert (await fhir.get("Patient/a")).status == 404


async def test_update_needs_the_type_of_the_url(fhir: Fhir) -> None:
    assert (await fhir.put("Patient/a", observation("a"))).status == 400


@pytest.mark.parametrize("id_", ["a_b", "a" * 65, "ä", "a b", "a%2Fb"])
async def test_update_refuses_ids_that_are_no_ids(fhir: Fhir, id_: str) -> None:
    assert (await fhir.put(f"Patient/{id_}", patient(id_))).status == 400


async def test_update_ignores_version_and_instant_of_the_body(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    meta = {"versionId": "40", "lastUpdated": "2050-01-01T00:00:00Z"}
    answer = await fhir.put("Patient/a", patient("a", meta=meta, active=True))
    assert answer.json["meta"]["versionId"] == "2"
    assert answer.json["meta"]["lastUpdated"] < "2050"


async def test_update_with_the_same_content_makes_no_new_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True))
    read = (await fhir.get("Patient/a")).json
    answer = await fhir.put("Patient/a", read)
    assert (answer.status, answer.version) == (200, 1)
    assert answer.json == read
    assert len((await fhir.get("Patient/a/_history")).entries) == 1


async def test_update_that_changes_only_white_space_makes_no_new_version(fhir: Fhir) -> None:
    await fhir.put("Patient/a", b'{"resourceType":"Patient","id":"a","active":true}')
    answer = await fhir.put("Patient/a", b'{ "resourceType" : "Patient",\n "id":"a",\t"active": true }')
    assert (answer.status, answer.version) == (200, 1)


async def test_update_that_changes_the_precision_of_a_decimal_is_a_change(fhir: Fhir) -> None:
    body = '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":%s}}'
    await fhir.put("Observation/o", (body % "1.2").encode())
    assert (await fhir.put("Observation/o", (body % "1.20").encode())).version == 2


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('W/"2"', 200), ('"2"', 200), ("2", 200), ('W/"1", W/"2"', 200), ("*", 200),
        ('W/"1"', 412), ('W/"3"', 412), ('W/"1", W/"3"', 412), ('W/"x"', 412), ('W/"02"', 412), ("", 412),
        ('W/"0"', 412),
    ],
)  # fmt: skip
async def test_if_match_guards_an_update(fhir: Fhir, tag: str, status: int) -> None:
    await fhir.put_all(patient("a", gender="male"), patient("a", gender="female"))
    answer = await fhir.put("Patient/a", patient("a", active=True), if_match=tag)
    assert answer.status == status
    assert (await fhir.get("Patient/a")).version == (3 if status == 200 else 2)
    if status == 412:
        assert answer.json["issue"][0]["code"] == "conflict"


@pytest.mark.parametrize("tag", ['W/"1"', "*", 'W/"0"'])
async def test_if_match_never_creates(fhir: Fhir, tag: str) -> None:
    assert (await fhir.put("Patient/a", patient("a"), if_match=tag)).status == 412
    assert (await fhir.get("Patient/a")).status == 404


async def test_if_none_match_star_only_creates(fhir: Fhir) -> None:
    assert (await fhir.put("Patient/a", patient("a"), if_none_match="*")).status == 201
    assert (await fhir.put("Patient/a", patient("a", active=True), if_none_match="*")).status == 412
    await fhir.delete("Patient/a")
    assert (await fhir.put("Patient/a", patient("a"), if_none_match="*")).status == 201


async def test_if_none_match_with_a_tag_refuses_that_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.put("Patient/a", patient("a", active=True), if_none_match='W/"1"')).status == 412
    assert (await fhir.put("Patient/a", patient("a", active=True), if_none_match='W/"9"')).status == 200


async def test_of_many_updates_of_one_version_one_wins(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    bodies = [patient("a", multipleBirthInteger=number) for number in range(20)]
    answers = await asyncio.gather(*(fhir.put("Patient/a", body, if_match='W/"1"') for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 19
    assert (await fhir.get("Patient/a")).version == 2


async def test_many_updates_at_once_all_become_versions(fhir: Fhir) -> None:
    bodies = [patient("a", multipleBirthInteger=number) for number in range(20)]
    answers = await asyncio.gather(*(fhir.put("Patient/a", body) for body in bodies))
    assert sorted(answer.version for answer in answers) == list(range(1, 21))


async def test_if_match_star_holds_whatever_the_version_while_others_write(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    bodies = [patient("a", multipleBirthInteger=number) for number in range(10)]
    answers = await asyncio.gather(*(fhir.put("Patient/a", body, if_match="*") for body in bodies))
    assert {answer.status for answer in answers} == {200}
    assert (await fhir.get("Patient/a")).version == 11


async def test_last_updated_never_runs_backwards(fhir: Fhir) -> None:
    stamps = []
    for number, shift in enumerate((0, -60_000, 5, -3_600_000)):
        fhir.clock.now += shift
        answer = await fhir.put("Patient/a", patient("a", multipleBirthInteger=number))
        stamps.append(answer.json["meta"]["lastUpdated"])
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("prefer", ["return=minimal", "return=representation", "return=OperationOutcome"])
async def test_prefer_says_what_comes_back(fhir: Fhir, prefer: str) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.put("Patient/a", patient("a", active=True), prefer=prefer)
    kind = answer.json["resourceType"] if answer.body else None
    assert kind == {"m": None, "r": "Patient", "O": "OperationOutcome"}[prefer[7]]
    assert answer.version == 2
