"""Delete, by id and by condition. Spec: https://hl7.org/fhir/R4/http.html#delete"""

import pytest

from tests.builders import identifier, patient
from tests.conformance.http.fhir import Fhir, Serve


async def test_delete_answers_204_with_the_version_of_the_deletion(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.delete("Patient/a")
    assert (answer.status, answer.body, answer.version) == (204, b"", 2)


async def test_delete_answers_200_with_an_outcome_where_the_client_prefers_one(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.delete("Patient/a", prefer="return=OperationOutcome")
    assert answer.status == 200
    assert answer.json["issue"][0]["severity"] == "information"


async def test_what_is_deleted_is_not_found_by_search(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True), patient("b", active=True))
    await fhir.delete("Patient/a")
    assert (await fhir.get("Patient?active=true")).ids == ["b"]
    assert (await fhir.get("Patient?_id=a")).ids == []


@pytest.mark.parametrize("prefer", ["", "return=OperationOutcome"])
async def test_deleting_again_has_no_effect(fhir: Fhir, prefer: str) -> None:
    await fhir.put_all(patient("a"))
    await fhir.delete("Patient/a")
    answer = await fhir.delete("Patient/a", prefer=prefer)
    assert answer.status == (200 if prefer else 204)
    assert len((await fhir.get("Patient/a/_history")).entries) == 2


async def test_deleting_what_never_existed_is_no_fault(fhir: Fhir) -> None:
    assert (await fhir.delete("Patient/none")).status == 204
    assert (await fhir.get("Patient/none")).status == 404


@pytest.mark.parametrize(("tag", "status"), [('W/"1"', 204), ("*", 204), ('W/"2"', 412), ('W/"x"', 412)])
async def test_if_match_guards_a_delete(fhir: Fhir, tag: str, status: int) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.delete("Patient/a", if_match=tag)).status == status
    assert (await fhir.get("Patient/a")).status == (410 if status == 204 else 200)


async def test_deleting_keeps_the_versions_before(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True))
    await fhir.delete("Patient/a")
    assert (await fhir.get("Patient/a/_history/1")).json["active"] is True


@pytest.mark.parametrize("url", ["Patient?identifier=urn:test|1", "Patient/?identifier=urn:test|1"])
async def test_conditional_delete_of_one_match_deletes_it(fhir: Fhir, url: str) -> None:
    await fhir.put_all(patient("a", identifier=identifier("1")), patient("b", identifier=identifier("2")))
    assert (await fhir.delete(url)).status == 204
    assert (await fhir.get("Patient/a")).status == 410
    assert (await fhir.get("Patient/b")).status == 200


async def test_conditional_delete_of_nothing_is_no_fault(fhir: Fhir) -> None:
    assert (await fhir.delete("Patient?identifier=1")).status == 204


async def test_conditional_delete_of_several_deletes_them_all_at_once(fhir: Fhir) -> None:
    await fhir.put_all(*(patient(f"p{number}", active=True) for number in range(5)), patient("q", active=False))
    answer = await fhir.delete("Patient?active=true", prefer="return=OperationOutcome")
    assert answer.status == 200
    assert "Patient/p0" in answer.text
    assert (await fhir.get("Patient")).ids == ["q"]
    stamps = {entry["response"]["lastModified"] for entry in (await fhir.get("_history?_count=5")).entries}
    assert len(stamps) == 1


async def test_conditional_delete_has_a_limit(serve: Serve) -> None:
    fhir = await serve(max_delete=2)
    await fhir.put_all(*(patient(f"p{number}", active=True) for number in range(3)))
    answer = await fhir.delete("Patient?active=true")
    assert answer.status == 412
    assert len((await fhir.get("Patient")).ids) == 3
    await fhir.delete("Patient/p0")
    assert (await fhir.delete("Patient?active=true")).status == 204
    assert (await fhir.get("Patient")).ids == []


async def test_conditional_delete_of_several_can_be_switched_off(serve: Serve) -> None:
    fhir = await serve(conditional_delete="single")
    await fhir.put_all(patient("a", active=True), patient("b", active=True), patient("c", active=False))
    assert (await fhir.delete("Patient?active=true")).status == 412
    assert (await fhir.delete("Patient?active=false")).status == 204


async def test_conditional_delete_can_be_switched_off(serve: Serve) -> None:
    fhir = await serve(conditional_delete="none")
    await fhir.put_all(patient("a", active=True))
    assert (await fhir.delete("Patient?active=true")).status == 405


@pytest.mark.parametrize("url", ["Patient", "Patient?", "Patient?_count=1", "Patient?_sort=name"])
async def test_conditional_delete_without_criteria_never_deletes_everything(fhir: Fhir, url: str) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.delete(url)).status == 412
    assert (await fhir.get("Patient/a")).status == 200


@pytest.mark.parametrize("prefer", ["", "handling=lenient"])
async def test_conditional_delete_with_an_unknown_parameter_deletes_nothing(fhir: Fhir, prefer: str) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.delete("Patient?colour=red", prefer=prefer)).status == 400
    assert (await fhir.get("Patient/a")).status == 200
