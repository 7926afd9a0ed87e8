"""Conditional create and update, alone and in a race.

Spec: https://hl7.org/fhir/R4/http.html#ccreate, https://hl7.org/fhir/R4/http.html#cond-update
"""

import asyncio

import pytest

from tests.builders import identifier, observation, patient
from tests.conformance.http.fhir import Fhir, Serve

ONE = identifier("1")


async def test_conditional_create_without_a_match_creates(fhir: Fhir) -> None:
    answer = await fhir.post("Patient", patient(identifier=ONE), if_none_exist="identifier=urn:test|1")
    assert answer.status == 201


async def test_conditional_create_with_a_match_ignores_the_post_and_answers_200(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await fhir.post("Patient", patient(identifier=ONE, active=True), if_none_exist="identifier=urn:test|1")
    assert (answer.status, answer.id, answer.version) == (200, "a", 1)
    assert "active" not in answer.json


async def test_conditional_create_with_several_matches_is_refused(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE), patient("b", identifier=ONE))
    answer = await fhir.post("Patient", patient(), if_none_exist="identifier=1")
    assert (answer.status, answer.json["issue"][0]["code"]) == (412, "multiple-matches")


async def test_conditional_create_looks_at_its_own_type_only(fhir: Fhir) -> None:
    await fhir.put_all(observation("o", identifier=ONE))
    assert (await fhir.post("Patient", patient(), if_none_exist="identifier=1")).status == 201


async def test_conditional_create_does_not_see_what_is_deleted(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    await fhir.delete("Patient/a")
    assert (await fhir.post("Patient", patient(identifier=ONE), if_none_exist="identifier=1")).status == 201


@pytest.mark.parametrize("criteria", ["?identifier=1", "Patient?identifier=1", "http://test/fhir/Patient?identifier=1"])
async def test_if_none_exist_may_be_written_as_a_url(fhir: Fhir, criteria: str) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    assert (await fhir.post("Patient", patient(), if_none_exist=criteria)).id == "a"


@pytest.mark.parametrize(
    ("criteria", "status"), [("", 412), ("_count=1", 412), ("colour=red", 400), ("birthdate=x", 400)]
)
async def test_bad_criteria_create_nothing(fhir: Fhir, criteria: str, status: int) -> None:
    assert (await fhir.post("Patient", patient(), if_none_exist=criteria)).status == status
    assert (await fhir.get("Patient")).ids == []


async def test_criteria_may_be_chained(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE), observation("o", subject="Patient/a"))
    answer = await fhir.post("Observation", observation(), if_none_exist="subject:Patient.identifier=1")
    assert (answer.status, answer.id) == (200, "o")


async def test_of_fifty_conditional_creates_at_once_one_creates(fhir: Fhir) -> None:
    answers = await asyncio.gather(
        *(fhir.post("Patient", patient(identifier=ONE), if_none_exist="identifier=urn:test|1") for _ in range(50))
    )
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len({answer.id for answer in answers}) == 1
    assert len((await fhir.get("Patient")).ids) == 1


async def test_of_many_conditional_updates_at_once_one_creates(fhir: Fhir) -> None:
    bodies = [patient(identifier=ONE, multipleBirthInteger=number) for number in range(20)]
    answers = await asyncio.gather(*(fhir.put("Patient?identifier=1", body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert sorted(answer.version for answer in answers) == list(range(1, 21))


async def test_conditional_update_without_match_and_id_creates_under_a_new_id(fhir: Fhir) -> None:
    answer = await fhir.put("Patient?identifier=1", patient(identifier=ONE))
    assert answer.status == 201
    assert answer.json["id"] == answer.id


async def test_conditional_update_without_match_but_with_an_id_is_an_update_as_create(fhir: Fhir) -> None:
    answer = await fhir.put("Patient?identifier=1", patient("mine", identifier=ONE))
    assert (answer.status, answer.id) == (201, "mine")


async def test_conditional_update_without_match_is_refused_where_clients_choose_no_ids(serve: Serve) -> None:
    fhir = await serve(update_create=False)
    assert (await fhir.put("Patient?identifier=1", patient("mine", identifier=ONE))).status == 405
    assert (await fhir.put("Patient?identifier=1", patient(identifier=ONE))).status == 201


async def test_conditional_update_without_match_never_overwrites_another_resource(fhir: Fhir) -> None:
    await fhir.put_all(patient("taken", active=True))
    assert (await fhir.put("Patient?identifier=1", patient("taken", identifier=ONE))).status == 409
    assert (await fhir.get("Patient/taken")).json["active"] is True


@pytest.mark.parametrize("id_", [None, "a"])
async def test_conditional_update_of_one_match_updates_it(fhir: Fhir, id_: str | None) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await fhir.put("Patient?identifier=1", patient(id_, identifier=ONE, active=True))
    assert (answer.status, answer.id, answer.version) == (200, "a", 2)


async def test_conditional_update_of_one_match_with_another_id_is_refused(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await fhir.put("Patient?identifier=1", patient("b", identifier=ONE))
    assert (answer.status, answer.expressions) == (400, ["Patient.id"])


async def test_conditional_update_of_several_matches_is_refused(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE), patient("b", identifier=ONE))
    answer = await fhir.put("Patient?identifier=1", patient(identifier=ONE))
    assert (answer.status, answer.json["issue"][0]["code"]) == (412, "multiple-matches")


@pytest.mark.parametrize("url", ["Patient", "Patient?_format=json", "Patient?_count=2"])
async def test_conditional_update_without_criteria_is_refused(fhir: Fhir, url: str) -> None:
    assert (await fhir.put(url, patient())).status == 412


@pytest.mark.parametrize(("tag", "status"), [('W/"1"', 200), ('W/"2"', 412), ("*", 200)])
async def test_conditional_update_takes_if_match_too(fhir: Fhir, tag: str, status: int) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await fhir.put("Patient?identifier=1", patient(identifier=ONE, active=True), if_match=tag)
    assert answer.status == status


async def test_conditional_update_with_if_match_never_creates(fhir: Fhir) -> None:
    assert (await fhir.put("Patient?identifier=1", patient(identifier=ONE), if_match="*")).status == 412


async def test_conditional_update_with_if_none_match_star_only_creates(fhir: Fhir) -> None:
    first = await fhir.put("Patient?identifier=1", patient(identifier=ONE), if_none_match="*")
    again = await fhir.put("Patient?identifier=1", patient(identifier=ONE, active=True), if_none_match="*")
    assert (first.status, again.status) == (201, 412)


async def test_conditional_update_that_no_longer_matches_its_own_criteria_is_still_done(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await fhir.put("Patient?identifier=1", patient(identifier=identifier("2")))
    assert (answer.status, answer.id) == (200, "a")


async def test_conditional_delete_and_create_at_once_leave_a_consistent_store(fhir: Fhir) -> None:
    creates = [fhir.post("Patient", patient(identifier=ONE), if_none_exist="identifier=1") for _ in range(10)]
    deletes = [fhir.delete("Patient?identifier=1") for _ in range(10)]
    answers = await asyncio.gather(*(each for pair in zip(creates, deletes, strict=True) for each in pair))
    assert {answer.status for answer in answers} <= {200, 201, 204}
    assert len((await fhir.get("Patient")).ids) <= 1
