"""Patch as an interaction; the patch languages themselves have their own tests.

Spec: https://hl7.org/fhir/R4/http.html#patch
"""

import asyncio
import json
from typing import Any

import pytest

from tests.builders import identifier, patient, resource
from tests.conformance.http.fhir import Answer, Fhir

JSON = "application/json-patch+json"
XML = "application/xml-patch+xml"
ACTIVATE = [{"op": "add", "path": "/active", "value": True}]


async def patch(fhir: Fhir, url: str, body: Any, content_type: str = JSON, **headers: str) -> Answer:
    return await fhir("PATCH", url, body, content_type=content_type, **headers)


def fhirpath(path: str, value: Any) -> dict[str, Any]:
    """A FHIRPath Patch that replaces a boolean."""
    part = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": path},
        {"name": "value", "valueBoolean": value},
    ]
    return resource("Parameters", parameter=[{"name": "operation", "part": part}])


async def test_json_patch_makes_the_next_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await patch(fhir, "Patient/a", ACTIVATE)
    assert (answer.status, answer.version) == (200, 2)
    assert answer.json["active"] is True
    assert (await fhir.get("Patient?active=true")).ids == ["a"]


async def test_fhirpath_patch_makes_the_next_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True))
    answer = await patch(fhir, "Patient/a", fhirpath("Patient.active", False), "application/fhir+json")
    assert (answer.status, answer.json["active"]) == (200, False)


async def test_xml_patch_makes_the_next_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True))
    body = b'<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:active/@value">false</replace></diff>'
    answer = await patch(fhir, "Patient/a", body, XML)
    assert (answer.status, answer.json["active"]) == (200, False)


async def test_patch_is_in_the_history_as_a_patch(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    await patch(fhir, "Patient/a", ACTIVATE)
    newest = (await fhir.get("Patient/a/_history")).entries[0]
    assert newest["request"] == {"method": "PATCH", "url": "Patient/a"}
    assert newest["resource"]["active"] is True


async def test_patch_of_nothing_is_not_found_and_of_a_deleted_one_is_gone(fhir: Fhir) -> None:
    assert (await patch(fhir, "Patient/a", ACTIVATE)).status == 404
    await fhir.put_all(patient("a"))
    await fhir.delete("Patient/a")
    assert (await patch(fhir, "Patient/a", ACTIVATE)).status == 410


@pytest.mark.parametrize(
    ("tag", "status"), [('W/"1"', 200), ("*", 200), ('W/"7", W/"1"', 200), ('W/"2"', 412), ("x", 412)]
)
async def test_if_match_guards_a_patch(fhir: Fhir, tag: str, status: int) -> None:
    await fhir.put_all(patient("a"))
    assert (await patch(fhir, "Patient/a", ACTIVATE, if_match=tag)).status == status


async def test_conditional_patch_of_one_match(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=identifier("1")), patient("b", identifier=identifier("2")))
    answer = await patch(fhir, "Patient?identifier=urn:test|1", ACTIVATE)
    assert (answer.status, answer.id) == (200, "a")


async def test_conditional_patch_of_nothing_is_not_found_and_of_several_is_refused(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", gender="male"), patient("b", gender="male"))
    assert (await patch(fhir, "Patient?identifier=1", ACTIVATE)).status == 404
    assert (await patch(fhir, "Patient?gender=male", ACTIVATE)).status == 412
    assert (await patch(fhir, "Patient", ACTIVATE)).status == 412


FAULTS = {
    "broken JSON": (b"[{", JSON, 400),
    "no list": (b"{}", JSON, 400),
    "unknown operation": (b'[{"op":"brew","path":"/active"}]', JSON, 400),
    "failed test": (b'[{"op":"test","path":"/active","value":true}]', JSON, 422),
    "no such path": (b'[{"op":"replace","path":"/name/7/family","value":"x"}]', JSON, 422),
    "another id": (b'[{"op":"replace","path":"/id","value":"b"}]', JSON, 422),
    "no id": (b'[{"op":"remove","path":"/id"}]', JSON, 422),
    "another type": (b'[{"op":"replace","path":"/resourceType","value":"Person"}]', JSON, 422),
    "no resource any more": (b'[{"op":"replace","path":"","value":7}]', JSON, 422),
    "an invalid result": (b'[{"op":"add","path":"/gender","value":"m"}]', JSON, 422),
    "no object": (b"[]", "application/fhir+json", 400),
    "broken XML": (b"<diff", XML, 400),
    "another language": (b"x", "text/x-diff", 415),
    "nothing": (b"", JSON, 400),
}


@pytest.mark.parametrize("what", FAULTS)
async def test_patches_that_cannot_be_applied_change_nothing(fhir: Fhir, what: str) -> None:
    body, content_type, status = FAULTS[what]
    await fhir.put_all(patient("a"))
    answer = await patch(fhir, "Patient/a", body, content_type)
    assert answer.status == status, answer.body
    assert answer.json["resourceType"] == "OperationOutcome"
    assert (await fhir.get("Patient/a")).version == 1


async def test_a_patch_without_effect_makes_no_new_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True))
    answer = await patch(fhir, "Patient/a", ACTIVATE)
    assert (answer.status, answer.version) == (200, 1)


@pytest.mark.parametrize("prefer", ["return=minimal", "return=representation", "return=OperationOutcome"])
async def test_prefer_says_what_comes_back(fhir: Fhir, prefer: str) -> None:
    await fhir.put_all(patient("a"))
    answer = await patch(fhir, "Patient/a", ACTIVATE, prefer=prefer)
    kind = answer.json["resourceType"] if answer.body else None
    assert kind == {"m": None, "r": "Patient", "O": "OperationOutcome"}[prefer[7]]


async def test_patches_at_once_are_all_applied_one_on_the_other(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=identifier("0")))
    bodies = [[{"op": "add", "path": "/identifier/-", "value": {"value": f"n{number}"}}] for number in range(15)]
    answers = await asyncio.gather(*(patch(fhir, "Patient/a", body) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    found = (await fhir.get("Patient/a")).json["identifier"]
    assert len(found) == 16
    assert len({json.dumps(each) for each in found}) == 16


async def test_of_patches_of_one_version_at_once_one_wins(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=identifier("0")))
    bodies = [[{"op": "add", "path": "/identifier/-", "value": {"value": f"n{number}"}}] for number in range(10)]
    answers = await asyncio.gather(*(patch(fhir, "Patient/a", body, if_match='W/"1"') for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 9


async def test_decimals_survive_a_patch_of_something_else(fhir: Fhir) -> None:
    body = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.200}}'
    )
    await fhir.put("Observation/o", body)
    for patching in ([{"op": "replace", "path": "/status", "value": "amended"}],):
        assert b'"value":1.200' in (await patch(fhir, "Observation/o", patching)).body


@pytest.mark.parametrize("parameter", ["x", [None], [{"name": "operation", "part": "x"}]])
async def test_malformed_parameters_are_a_bad_request(fhir: Fhir, parameter: Any) -> None:
    await fhir.put_all(patient("a"))
    answer = await patch(fhir, "Patient/a", resource("Parameters", parameter=parameter), "application/fhir+json")
    assert (answer.status, answer.json["resourceType"]) == (400, "OperationOutcome")
