"""Read, vread and conditional read.

Spec: https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#vread
"""

import pytest

from tests.builders import observation, patient
from tests.conformance.http.fhir import Fhir


async def test_read_returns_the_current_version_with_its_meta(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True), patient("a", active=False))
    answer = await fhir.get("Patient/a")
    assert answer.status == 200
    assert answer.json["id"] == "a"
    assert answer.json["active"] is False
    assert answer.json["meta"]["versionId"] == "2"
    assert answer.version == 2


async def test_read_of_what_never_existed_is_not_found(fhir: Fhir) -> None:
    answer = await fhir.get("Patient/none")
    assert (answer.status, answer.json["issue"][0]["code"]) == (404, "not-found")


async def test_read_of_deleted_patient_is_gone_and_tells_the_version_for_its_revival(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    await fhir.delete("Patient/a")
    answer = await fhir.get("Patient/a")
    assert (answer.status, answer.json["issue"][0]["code"]) == (410, "deleted")
    assert answer.headers["etag"] == 'W/"2"'


async def test_vread_returns_each_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", gender="male"), patient("a", gender="female"))
    first, second = await fhir.get("Patient/a/_history/1"), await fhir.get("Patient/a/_history/2")
    assert (first.json["gender"], second.json["gender"]) == ("male", "female")
    assert (first.json["meta"]["versionId"], second.json["meta"]["versionId"]) == ("1", "2")


async def test_vread_of_the_deletion_is_gone_but_not_of_the_versions_before(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    await fhir.delete("Patient/a")
    assert (await fhir.get("Patient/a/_history/2")).status == 410
    assert (await fhir.get("Patient/a/_history/1")).status == 200


@pytest.mark.parametrize("vid", ["2", "0", "-1", "01", "x", "1.0", "9" * 18, "9" * 40, "%00"])
async def test_vread_of_a_version_that_never_was_is_not_found(fhir: Fhir, vid: str) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.get(f"Patient/a/_history/{vid}")).status == 404


async def test_ids_are_case_sensitive(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.get("Patient/A")).status == 404


@pytest.mark.parametrize(
    ("tag", "status"),
    [('W/"1"', 304), ('"1"', 304), ('W/"7", W/"1"', 304), ("*", 304), ('W/"2"', 200), ('W/"11"', 200), ("", 200)],
)
async def test_if_none_match_answers_304_for_the_version_the_client_has(fhir: Fhir, tag: str, status: int) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.get("Patient/a", if_none_match=tag)
    assert answer.status == status
    assert answer.version == 1
    assert bool(answer.body) is (status == 200)


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 304),
        ("Tue, 14 Nov 2023 22:13:21 GMT", 304),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
        ("yesterday", 200),
        ("", 200),
    ],
)
async def test_if_modified_since_answers_304_unless_it_changed_after(fhir: Fhir, since: str, status: int) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.get("Patient/a", if_modified_since=since)).status == status


async def test_if_none_match_goes_before_if_modified_since(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.get("Patient/a", if_none_match='W/"2"', if_modified_since="Tue, 14 Nov 2030 22:13:20 GMT")
    assert answer.status == 200


async def test_vread_can_be_conditional_too(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    assert (await fhir.get("Patient/a/_history/1", if_none_match='W/"1"')).status == 304


SUMMARY = {
    "true": ({"identifier", "active", "name"}, {"text", "contact", "maritalStatus"}),
    "text": ({"text"}, {"identifier", "name", "contact"}),
    "data": ({"identifier", "contact", "maritalStatus"}, {"text"}),
}


@pytest.mark.parametrize("mode", SUMMARY)
async def test_summary_returns_its_part_of_the_resource_and_marks_it(fhir: Fhir, mode: str) -> None:
    await fhir.put_all(_full_patient())
    found = (await fhir.get(f"Patient/a?_summary={mode}")).json
    kept, cut = SUMMARY[mode]
    assert kept <= found.keys()
    assert not cut & found.keys()
    assert found["id"] == "a"
    assert found["meta"]["tag"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    ]


@pytest.mark.parametrize("mode", ["false", "count"])
async def test_summary_false_and_count_return_the_whole_resource(fhir: Fhir, mode: str) -> None:
    await fhir.put_all(_full_patient())
    found = (await fhir.get(f"Patient/a?_summary={mode}")).json
    assert "tag" not in found["meta"]
    assert _full_patient().keys() <= found.keys()


async def test_summary_that_is_no_summary_is_refused(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.get("Patient/a?_summary=some")
    assert answer.status == 400
    assert answer.expressions == ["http._summary"]


async def test_summary_cuts_nested_elements_too_and_keeps_mandatory_ones(fhir: Fhir) -> None:
    component = {"code": {"text": "c"}, "valueInteger": 1, "interpretation": [{"text": "high"}]}
    await fhir.put_all(observation("o", component=[component], note=[{"text": "n"}]))
    found = (await fhir.get("Observation/o?_summary=true")).json
    assert found["component"] == [{"code": {"text": "c"}, "valueInteger": 1}]
    assert found["status"] == "final"
    assert "note" not in found


async def test_elements_returns_what_was_asked_and_what_is_mandatory(fhir: Fhir) -> None:
    await fhir.put_all(observation("o", valueQuantity={"value": 1.20, "unit": "g"}, note=[{"text": "n"}]))
    found = (await fhir.get("Observation/o?_elements=value")).json
    assert found.keys() == {"resourceType", "id", "meta", "status", "code", "valueQuantity"}
    assert found["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.parametrize("names", ["name,active", "Patient.name,active", "name.family,active", " name , active "])
async def test_elements_may_be_written_in_several_ways(fhir: Fhir, names: str) -> None:
    await fhir.put_all(_full_patient())
    found = (await fhir.get(f"Patient/a?_elements={names}")).json
    assert found.keys() == {"resourceType", "id", "meta", "name", "active"}


async def test_elements_keep_the_extensions_of_a_primitive(fhir: Fhir) -> None:
    extension = {"extension": [{"url": "http://example.org/x", "valueString": "y"}]}
    await fhir.put_all(patient("a", birthDate="1970-01-01", _birthDate=extension, gender="male"))
    found = (await fhir.get("Patient/a?_elements=birthDate")).json
    assert found["_birthDate"] == extension
    assert "gender" not in found


async def test_a_subset_keeps_decimals_and_tags_as_they_are(fhir: Fhir) -> None:
    body = (
        b'{"resourceType":"Observation","id":"o","meta":{"tag":[{"system":"s:x","code":"mine"}]},"status":"final",'
        b'"code":{"text":"x"},"valueQuantity":{"value":1.200}}'
    )
    assert (await fhir.put("Observation/o", body)).status == 201
    for query in ("_summary=true", "_elements=value", "_summary=data"):
        answer = await fhir.get(f"Observation/o?{query}")
        assert b'"value":1.200' in answer.body
        assert [tag["code"] for tag in answer.json["meta"]["tag"]] == ["mine", "SUBSETTED"]


def _full_patient() -> dict[str, object]:
    return patient(
        "a",
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        identifier=[{"value": "1"}],
        active=True,
        name=[{"family": "F"}],
        maritalStatus={"text": "m"},
        contact=[{"name": {"family": "C"}}],
    )
