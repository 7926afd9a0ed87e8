"""What users may grant is bound by their roles, when they grant it and later."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.roles import BadRoles, counting, roles_of, within
from fhir_server.auth.scopes import parse_scopes
from fhir_server.auth.users import new_user, save_user
from fhir_server.settings import Settings
from tests.conformance.smart.conftest import Ehr, observation, record, started

WAIT = 1.2


async def _write(ehr: Ehr, *resources: dict[str, Any]) -> None:
    token = await ehr.bearer("user/*.cruds", user=replace(ehr.doctor))
    for resource in resources:
        answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
        assert answer.status_code in (200, 201), answer.text


async def test_an_app_gets_no_more_than_the_role_of_its_user(ehr: Ehr) -> None:
    await _write(ehr, record("Patient", "ann"), observation("one", "ann"))
    await save_user(ehr.desk, replace(ehr.doctor, roles=("billing",)))
    grant = await ehr.granted("user/*.cruds openid")
    assert "user/*.cruds" not in grant["scope"].split() and "user/Claim.cruds" in grant["scope"].split()
    token = grant["access_token"]
    assert (await ehr.fhir("Patient/ann", token)).status_code == 200
    assert (await ehr.fhir("Observation/one", token)).status_code == 403
    assert (await ehr.fhir("Patient/ann", token, "DELETE")).status_code == 403


async def test_a_role_that_is_taken_away_is_gone_a_second_later(ehr: Ehr) -> None:
    await _write(ehr, record("Patient", "ann"), observation("one", "ann"))
    token = (await ehr.granted("user/*.cruds"))["access_token"]
    assert (await ehr.fhir("Observation/one", token)).status_code == 200
    await save_user(ehr.desk, replace(ehr.doctor, roles=("clerk",)))
    time.sleep(WAIT)
    assert (await ehr.fhir("Observation/one", token)).status_code == 403
    assert (await ehr.fhir("Patient/ann", token)).status_code == 200
    await save_user(ehr.desk, replace(ehr.doctor, roles=()))
    time.sleep(WAIT)
    assert (await ehr.fhir("Patient/ann", token)).status_code == 403
    await save_user(ehr.desk, ehr.doctor)
    time.sleep(WAIT)
    assert (await ehr.fhir("Observation/one", token)).status_code == 200


async def test_a_related_person_sees_the_patients_of_their_resources_while_those_are_in_force(ehr: Ehr) -> None:
    def related(id_: str, patient: str, **more: Any) -> dict[str, Any]:
        return record("RelatedPerson", id_, patient={"reference": f"Patient/{patient}"}, **more)

    await _write(
        ehr, record("Patient", "ann"), record("Patient", "bob"), record("Patient", "eve"),
        related("mum", "ann"), related("mum-of-bob", "bob"), related("was", "eve", period={"end": "2020-01-01"}),
    )  # fmt: skip
    mother = replace(
        new_user("mother"), subject="RelatedPerson/mum", also=("RelatedPerson/mum-of-bob", "RelatedPerson/was")
    )
    await save_user(ehr.desk, mother)
    token = await ehr.bearer("user/*.cruds", user=mother)

    async def seen() -> set[str]:
        found = (await ehr.fhir("Patient", token)).json()
        return {entry["resource"]["id"] for entry in found.get("entry", ())}

    assert await seen() == {"ann", "bob"}
    assert (await ehr.fhir("Patient/ann", token, "DELETE")).status_code == 403, "the role of patients has no d"
    await _write(ehr, related("mum-of-bob", "bob", active=False))
    time.sleep(WAIT)
    assert await seen() == {"ann"}


async def test_a_strong_role_counts_only_with_a_second_factor(tmp_path: Path) -> None:
    async with started(tmp_path, strong_roles=("clinician",)) as ehr:
        token = await ehr.bearer("user/*.rs", user=ehr.doctor)
        assert (await ehr.fhir("Patient", token)).status_code == 403
        await save_user(ehr.desk, replace(ehr.doctor, totp="JBSWY3DPEHPK3PXP"))
        time.sleep(WAIT)
        assert (await ehr.fhir("Patient", token)).status_code == 200


def test_roles_of_a_file_come_before_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "roles.toml"
    path.write_text('clinician = "user/Patient.rs"\nstudent = "user/Observation.rs?category=laboratory"\n')
    settings = Settings(roles_file=path)
    assert str(within(settings, ["clinician"], parse_scopes("user/*.cruds patient/*.rs openid"))) == (
        "openid user/Patient.rs patient/Patient.rs"
    )
    assert str(within(settings, ["student"], parse_scopes("user/*.rs"))) == "user/Observation.rs?category=laboratory"
    assert str(within(settings, ["nobody"], parse_scopes("user/*.rs system/*.rs"))) == ""
    assert "nurse" in roles_of(path)


@pytest.mark.parametrize("text", ['clinician = "system/*.rs"', "clinician = 3", "clinician"])
def test_a_roles_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "roles.toml"
    path.write_text(text)
    with pytest.raises(BadRoles):
        roles_of(path)


def test_who_has_no_role_has_none_but_patients_have_theirs() -> None:
    assert counting(Settings(), new_user("a", subject="Patient/1")) == ("patient",)
    assert counting(Settings(), new_user("a", also=("RelatedPerson/1",))) == ("patient",)
    assert counting(Settings(), new_user("a", subject="Practitioner/1")) == ()
