"""Read and vread. Spec: https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#vread"""

from tests.builders import patient
from tests.conformance.http.fhir import Fhir


async def test_read_returns_the_current_version_with_its_meta(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True), patient("a", active=False))
    answer = await fhir.get("Patient/a")
    assert answer.status == 200
    assert answer.json["active"] is False
    assert answer.json["meta"]["versionId"] == "2"
    assert answer.version == 2


async def test_read_of_what_never_existed_is_not_found(fhir: Fhir) -> None:
    answer = await fhir.get("Patient/none")
    assert answer.status == 404
    assert answer.json["issue"][0]["code"] == "not-found"


async def test_read_of_deleted_patient_is_gone(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    await fhir.delete("Patient/a")
    answer = await fhir.get("Patient/a")
    assert answer.status == 410
    assert answer.json["issue"][0]["code"] == "deleted"
