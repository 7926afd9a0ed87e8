"""Who asks by GraphQL sees and changes what they may see and change by any other way, and no more."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.smart.conftest import SERVICE, Ehr, observation, record, started

WHOLE = replace(SERVICE, scopes="system/*.cruds")


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    """Two patients, an observation of each; the one of `two` names an observation of `one`."""
    async with started(tmp_path) as ehr:
        token = await ehr.bearer("system/*.cruds", client=WHOLE)
        linked = {**observation("of-two", "two"), "hasMember": [{"reference": "Observation/of-one"}]}
        for resource in (
            record("Practitioner", "doc", name=[{"family": "Grey"}]), record("Patient", "one"),
            record("Patient", "two"), observation("of-one", "one"), linked,
        ):  # fmt: skip
            answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
            assert answer.is_success, answer.text
        yield ehr


async def ask(ehr: Ehr, token: str, query: str, at: str = "") -> dict[str, Any]:
    found: dict[str, Any] = (await ehr.fhir(f"{at}$graphql", token, "POST", {"query": query})).json()
    return found


async def test_app_for_one_patient_finds_nobody_else(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    found = await ask(ehr, token, "{ PatientList { id } ObservationList { id } }")
    assert found["data"] == {"PatientList": [{"id": "two"}], "ObservationList": [{"id": "of-two"}]}


async def test_reference_into_the_record_of_another_leads_nowhere(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    query = '{ Observation(id: "of-two") { hasMember { reference resource { id } } } one: Patient(id: "one") { id } }'
    found = await ask(ehr, token, query)
    assert found["data"]["Observation"]["hasMember"][0]["resource"] is None
    assert found["data"]["one"] is None
    never = await ask(ehr, token, '{ one: Patient(id: "never") { id } }')
    said = next(each["message"] for each in found["errors"] if each["path"] == ["one"])
    assert said.replace("one", "never") == never["errors"][0]["message"]


async def test_instance_of_another_patient_is_not_there(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    assert "data" not in await ask(ehr, token, "{ id }", "Patient/one/")


async def test_type_outside_the_scopes_is_refused(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/Patient.rs", user=ehr.doctor, patient="two")
    found = await ask(ehr, token, '{ PatientList { id } ObservationList { id } Observation(id: "of-two") { id } }')
    assert found["data"] == {"PatientList": [{"id": "two"}], "ObservationList": None, "Observation": None}
    assert len(found["errors"]) == 2


async def test_who_may_only_read_changes_nothing(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    query = (
        'mutation { PatientDelete(id: "two") { location } PatientUpdate(id: "two", res: {active: true}) { location } }'
    )
    found = await ask(ehr, token, query)
    assert found["data"] == {"PatientDelete": None, "PatientUpdate": None}
    assert (await ehr.fhir("Patient/two", token)).status_code == 200


async def test_without_a_token_nothing_is_answered(ehr: Ehr) -> None:
    answer = await ehr.fhir("$graphql", "", "POST", {"query": "{ PatientList { id } }"})
    assert answer.status_code == 401
