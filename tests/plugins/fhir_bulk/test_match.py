"""`Patient/$bulk-match`: many patients matched as a job."""

from typing import Any

from tests.builders import observation, patient
from tests.plugins.fhir_bulk.conftest import Bulk

SUBMITTED = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/match-resource"


def asked(*patients: dict[str, Any], **more: Any) -> dict[str, Any]:
    extra = [{"name": name, **value} for name, value in more.items()]
    return {
        "resourceType": "Parameters", "parameter": [*({"name": "resource", "resource": p} for p in patients), *extra]
    }  # fmt: skip


def person(id_: str, given: str, birth: str) -> dict[str, Any]:
    return patient(id_, name=[{"family": "Baker", "given": [given]}], birthDate=birth, gender="female")


async def test_each_patient_that_is_sent_gets_a_bundle_of_matches(bulk: Bulk) -> None:
    await bulk.put(person("ann", "Ann", "1980-02-03"), person("bea", "Bea", "1990-02-03"))
    sent = [person("x", "Ann", "1980-02-03"), person("y", "Zoe", "1955-05-05"), patient("z", active=True)]
    manifest = await bulk.manifest("Patient/$bulk-match", asked(*sent))
    assert manifest["request"] == "http://test/fhir/Patient/$bulk-match"
    (output,) = manifest["output"]
    assert (output["type"], output["count"]) == ("Bundle", 3)
    bundles = await bulk.lines(output["url"])
    about = [one["meta"]["extension"][0] for one in bundles]
    assert [one["valueReference"]["reference"] for one in about] == ["Patient/x", "Patient/y", "Patient/z"]
    assert {one["url"] for one in about} == {SUBMITTED}
    first = bundles[0]
    assert first["type"] == "searchset" and first["entry"][0]["resource"]["id"] == "ann"
    assert first["entry"][0]["search"]["extension"][0]["url"].endswith("/match-grade")
    (outcome,) = await bulk.lines(manifest["error"][0]["url"])
    assert "line 3 of Patient/z" in outcome["issue"][-1]["diagnostics"]


async def test_only_single_match_gives_one(bulk: Bulk) -> None:
    await bulk.put(person("ann", "Ann", "1980-02-03"), person("twin", "Ann", "1980-02-03"))
    body = asked(person("x", "Ann", "1980-02-03"), onlySingleMatch={"valueBoolean": True})
    (output,) = (await bulk.manifest("Patient/$bulk-match", body))["output"]
    (found,) = await bulk.lines(output["url"])
    assert len([entry for entry in found["entry"] if entry["search"]["mode"] == "match"]) == 1


async def test_what_is_wrong_with_a_bulk_match_is_said_at_once(bulk: Bulk) -> None:
    same = person("x", "Ann", "1980-02-03")
    for body in (asked(), asked(same, same), asked(observation("o")), asked(same, count={"valueString": "many"})):
        answer = await bulk.kick_off("Patient/$bulk-match", body)
        assert answer.status_code == 400, answer.text
    answer = await bulk.http.post("/fhir/Patient/$bulk-match", json=asked(same))
    assert answer.status_code == 400 and "respond-async" in answer.text


async def test_a_bulk_match_is_removed_by_delete(bulk: Bulk) -> None:
    kicked = await bulk.kick_off("Patient/$bulk-match", asked(person("x", "Ann", "1980-02-03")))
    await bulk.done(kicked)
    status = kicked.headers["content-location"]
    assert (await bulk.http.delete(status)).status_code == 202
    assert (await bulk.http.get(status)).status_code == 404
    assert (await bulk.http.get(status.replace("matches", "nonsense"))).status_code == 404
