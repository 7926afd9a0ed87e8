"""Validation on every write: what is refused, what is told, and what `Prefer` changes.

Spec: https://hl7.org/fhir/R4/http.html#ops, https://hl7.org/fhir/R4/validation.html
"""

from typing import Any

import pytest

from fhir_server.model.json import encode
from tests.builders import observation, patient, resource
from tests.conformance.http.fhir import Fhir, Serve

PROFILE = "http://example.org/StructureDefinition/with-gender"
STRICT, LENIENT, TOLD = "handling=strict", "handling=lenient", "return=OperationOutcome"


def profile() -> dict[str, Any]:
    """A profile on Patient that requires a gender."""
    element = [{"id": "Patient", "path": "Patient"}, {"id": "Patient.gender", "path": "Patient.gender", "min": 1}]
    return resource(
        "StructureDefinition", "with-gender", url=PROFILE, name="WithGender", status="active", kind="resource",
        abstract=False, type="Patient", baseDefinition="http://hl7.org/fhir/StructureDefinition/Patient",
        derivation="constraint", differential={"element": element},
    )  # fmt: skip


def keys(answer: Any) -> set[str]:
    """The keys of the invariants that are named."""
    issues = [issue for issue in answer.json["issue"] if "details" in issue]
    return {coding["code"] for issue in issues for coding in issue["details"]["coding"]}


# What breaks R4, and the invariant or the place that tells so.
BROKEN = {
    "obs-6": observation(valueString="x", dataAbsentReason={"text": "y"}),
    "per-1": patient(name=[{"family": "A", "period": {"start": "2020-02-01", "end": "2020-01-01"}}]),
    "cpt-2": patient(telecom=[{"value": "1"}]),
    "pat-1": patient(contact=[{"relationship": [{"text": "x"}]}]),
    "qty-3": observation(valueQuantity={"value": 1, "code": "mg"}),
    "org-1": resource("Organization", None, active=True),
    "txt-2": patient(text={"status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml"> </div>'}),
    "att-1": patient(photo=[{"data": "AAAA"}]),
}


@pytest.mark.parametrize("key", BROKEN)
async def test_what_breaks_an_invariant_is_refused_with_its_key(fhir: Fhir, key: str) -> None:
    body = BROKEN[key]
    answer = await fhir.post(body["resourceType"], body)
    assert answer.status == 422
    assert key in keys(answer)


async def test_an_orphan_among_contained_resources_is_refused(fhir: Fhir) -> None:
    body = observation(contained=[{"resourceType": "Patient", "id": "a", "active": True}])
    answer = await fhir.post("Observation", body)
    assert (answer.status, answer.expressions) == (422, ["Observation.contained[0]"])


@pytest.mark.parametrize(("level", "status"), [("full", 422), ("structure", 201), ("off", 201)])
async def test_the_setting_says_how_far_a_write_is_checked(serve: Serve, level: str, status: int) -> None:
    fhir = await serve(validation=level)
    assert (await fhir.post("Observation", BROKEN["obs-6"])).status == status


async def test_a_bad_resource_gets_its_errors_first_and_then_the_rest(fhir: Fhir) -> None:
    answer = await fhir.post("Observation", BROKEN["obs-6"])
    severities = [issue["severity"] for issue in answer.json["issue"]]
    assert severities[0] == "error" and "warning" in severities


async def test_warnings_are_told_to_those_who_ask_for_an_outcome(fhir: Fhir) -> None:
    answer = await fhir.post("Patient", patient(), prefer=TOLD)
    assert answer.status == 201 and "dom-6" in keys(answer)
    again = await fhir.put(
        f"Patient/{answer.json['issue'][0]['diagnostics'].split()[0][8:]}", patient("x"), prefer=TOLD
    )
    assert again.status == 400  # another id than that of the body
    assert "dom-6" in keys(await fhir.put("Patient/x", patient("x"), prefer=TOLD))


async def test_warnings_of_entries_have_their_place_in_the_bundle(fhir: Fhir) -> None:
    entry = {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}
    answer = await fhir.post("", resource("Bundle", None, type="transaction", entry=[entry]), prefer=TOLD)
    issues = answer.json["entry"][0]["response"]["outcome"]["issue"]
    assert ["Bundle.entry[0].resource"] in [issue.get("expression") for issue in issues]


async def test_a_claim_to_an_unknown_profile_is_refused_by_strict_handling_alone(fhir: Fhir) -> None:
    body = patient(meta={"profile": [PROFILE]})
    assert (await fhir.post("Patient", body)).status == 201
    assert (await fhir.post("Patient", body, prefer=LENIENT)).status == 201
    answer = await fhir.post("Patient", body, prefer=STRICT)
    assert (answer.status, answer.expressions) == (422, ["Patient.meta.profile[0]"])
    assert PROFILE in answer.json["issue"][0]["diagnostics"]


async def test_a_claim_to_a_known_profile_is_held_unless_handling_is_lenient(fhir: Fhir) -> None:
    assert (await fhir.put("StructureDefinition/with-gender", profile())).status == 201
    body = patient(meta={"profile": [PROFILE]})
    assert (await fhir.post("Patient", body)).status == 422
    assert (await fhir.post("Patient", body, prefer=STRICT)).status == 422
    answer = await fhir.post("Patient", body, prefer=f"{LENIENT}, {TOLD}")
    assert answer.status == 201
    assert PROFILE in "".join(issue["diagnostics"] for issue in answer.json["issue"])
    assert (await fhir.post("Patient", body | {"gender": "other"}, prefer=STRICT)).status == 201


async def test_lenient_handling_does_not_soften_r4_itself(fhir: Fhir) -> None:
    assert (await fhir.post("Observation", BROKEN["obs-6"], prefer=LENIENT)).status == 422


async def test_a_code_that_its_system_has_not_is_refused_by_strict_handling_alone(fhir: Fhir) -> None:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "nosuch"}]}
    body = patient(maritalStatus=status)
    assert (await fhir.post("Patient", body)).status == 201
    answer = await fhir.post("Patient", body, prefer=STRICT)
    assert "Patient.maritalStatus.coding[0].code" in answer.expressions


async def test_large_resources_are_validated_beside_the_loop_with_the_same_result(fhir: Fhir) -> None:
    body = observation(note=[{"text": "x" * 1_000}] * 100) | BROKEN["obs-6"]
    assert len(encode(body)) > 64_000
    assert "obs-6" in keys(await fhir.post("Observation", body))
