"""What a study is in the record: ImagingStudy, Patient, orders, reports, Tasks; deleting and holding."""

from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import BasicTextSRStorage, EncapsulatedPDFStorage

from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, part10, slices


def person(web: Web, id_: str, **members: Any) -> str:
    patient = web.server.patient(
        identifier=[{"system": "urn:hosp", "value": id_}],
        **{
            "name": [{"family": "Lovelace", "given": ["Ada"]}],
            "birthDate": "1815-12-10",
            "gender": "female",
            **members,
        },
    )
    made = web.client.post("/fhir/Patient", json=patient)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def tasks(web: Web, study: str) -> list[dict[str, Any]]:
    found = web.client.get("/fhir/Task", params={"identifier": f"urn:fhir-server:dicomweb:unmatched|{study}"}).json()
    return [each["resource"] for each in found.get("entry", [])]


def test_a_study_is_an_imaging_study_of_its_patient(web: Web) -> None:
    patient = person(web, "R1")
    order = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "identifier": [{"value": "ORDER1"}],
        "subject": {"reference": f"Patient/{patient}"},
    }  # fmt: skip
    order_id = web.client.post("/fhir/ServiceRequest", json=order).json()["id"]
    web.store(*slices("1.6.1", 2, patient="R1", AccessionNumber="ORDER1"))
    web.store(*slices("1.6.1", 3, patient="R1", AccessionNumber="ORDER1", series="2"))
    study = web.imaging_study("1.6.1")
    assert study["subject"] == {"reference": f"Patient/{patient}"}
    assert study["basedOn"] == [{"reference": f"ServiceRequest/{order_id}"}]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 5)
    assert [each["numberOfInstances"] for each in study["series"]] == [2, 3]
    assert study["series"][0]["instance"][1]["uid"] == "1.6.1.1.2"
    assert study["started"] == "2026-03-01T10:15:00Z"
    assert study["meta"]["versionId"] == "2"
    endpoint = web.client.get(f"/fhir/{study['endpoint'][0]['reference']}").json()
    assert endpoint["address"] == "http://testserver/dicomweb"
    checked = web.client.post("/fhir/ImagingStudy/$validate", json=study).json()
    assert not [each for each in checked["issue"] if each["severity"] in ("error", "fatal")], checked
    assert tasks(web, "1.6.1") == []


def test_one_request_is_one_version_for_each_study(web: Web) -> None:
    web.store(*slices("1.6.2", 20), *slices("1.6.3", 20))
    for study in ("1.6.2", "1.6.3"):
        assert web.imaging_study(study)["meta"]["versionId"] == "1"


def test_an_imaging_study_of_the_same_uid_is_taken_over_with_what_it_says(web: Web) -> None:
    patient = person(web, "R4")
    known = {
        "resourceType": "ImagingStudy", "status": "registered", "subject": {"reference": f"Patient/{patient}"},
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.6.4"}], "note": [{"text": "read it soon"}],
    }  # fmt: skip
    id_ = web.client.post("/fhir/ImagingStudy", json=known).json()["id"]
    web.store(*slices("1.6.4", patient="R4"))
    study = web.imaging_study("1.6.4")
    assert (study["id"], study["status"], study["note"][0]["text"]) == (id_, "available", "read it soon")


def test_without_agreement_of_the_demographics_a_person_has_to_decide(web: Web) -> None:
    patient = person(web, "R5", birthDate="1900-01-01")
    web.store(*slices("1.6.5", patient="R5"))
    study = web.imaging_study("1.6.5")
    assert "reference" not in study["subject"]
    assert study["subject"]["identifier"]["value"] == "R5"
    (task,) = tasks(web, "1.6.5")
    assert "birth date" in task["statusReason"]["text"]
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueReference": {"reference": f"Patient/{patient}"}}
    ]}  # fmt: skip
    answer = web.client.post(f"/fhir/ImagingStudy/{study['id']}/$assign-patient", json=body)
    assert answer.status_code == 200, answer.text
    assert web.imaging_study("1.6.5")["subject"] == {"reference": f"Patient/{patient}"}
    assert tasks(web, "1.6.5")[0]["status"] == "completed"
    web.store(*slices("1.6.5", 2, patient="R5"))
    assert web.imaging_study("1.6.5")["subject"] == {"reference": f"Patient/{patient}"}
    other = person(web, "R5b")
    body["parameter"][0]["valueReference"] = {"reference": f"Patient/{other}"}  # type: ignore[index]
    assert web.client.post(f"/fhir/ImagingStudy/{study['id']}/$assign-patient", json=body).status_code == 409


def test_two_patients_with_one_identifier_are_a_conflict(web: Web) -> None:
    person(web, "R6")
    person(web, "R6")
    web.store(*slices("1.6.6", patient="R6"))
    assert "several" in tasks(web, "1.6.6")[0]["statusReason"]["text"]


def test_a_study_follows_its_imaging_study_to_another_patient(web: Web) -> None:
    first, second = person(web, "R7"), person(web, "R7x")
    web.store(*slices("1.6.7", patient="R7"))
    study = web.imaging_study("1.6.7")
    assert study["subject"]["reference"] == f"Patient/{first}"
    moved = {**study, "subject": {"reference": f"Patient/{second}"}}
    assert web.client.put(f"/fhir/ImagingStudy/{study['id']}", json=moved).status_code == 200
    web.server.settle()
    web.store(*slices("1.6.7", 2, patient="R7"))
    assert web.imaging_study("1.6.7")["subject"]["reference"] == f"Patient/{second}"


def test_structured_reports_become_diagnostic_reports(web: Web) -> None:
    patient = person(web, "R8")
    found = ct("R8", "1.6.8")
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(found, name)
    found.Modality, found.CompletionFlag, found.VerificationFlag = "SR", "COMPLETE", "VERIFIED"
    found.ContentDate, found.ContentTime = "20260302", "080000"
    found.ConceptNameCodeSequence = Sequence([coded("18748-4", "LN", "Diagnostic imaging report")])
    line = Dataset()
    line.ValueType, line.TextValue = "TEXT", "No sign of disease."
    line.ConceptNameCodeSequence = Sequence([coded("121071", "DCM", "Finding")])
    found.ContentSequence = Sequence([line])
    assert web.store(part10(found)).status_code == 200
    web.server.settle()
    entry = web.client.get("/fhir/DiagnosticReport", params={"subject": f"Patient/{patient}"}).json()["entry"]
    report = entry[0]["resource"]
    assert (report["status"], report["conclusion"]) == ("final", "Finding: No sign of disease.")
    assert report["code"]["coding"][0] == {
        "system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging report"
    }  # fmt: skip
    assert report["imagingStudy"][0]["reference"] == f"ImagingStudy/{web.imaging_study('1.6.8')['id']}"


def coded(code: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code, scheme, meaning
    return made


def test_documents_become_media(web: Web) -> None:
    patient = person(web, "R9")
    found = ct("R9", "1.6.9")
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(found, name)
    found.EncapsulatedDocument = b"%PDF-1.4 " + b"x" * 6_001
    found.MIMETypeOfEncapsulatedDocument, found.DocumentTitle = "application/pdf", "Letter"
    assert web.store(part10(found)).status_code == 200
    web.server.settle()
    media = web.client.get("/fhir/Media", params={"subject": f"Patient/{patient}"}).json()["entry"][0]["resource"]
    assert media["content"]["contentType"] == "application/pdf"
    document = web.client.get(media["content"]["url"], headers={"accept": "application/pdf"})
    assert document.content.startswith(b"%PDF-1.4 xxx")


def test_a_study_is_deleted_with_its_imaging_study(web: Web) -> None:
    web.store(*slices("1.6.10", 2))
    assert web.client.delete("/dicomweb/studies/1.6.10").status_code == 204
    assert web.found("/studies?StudyInstanceUID=1.6.10") == []
    found = web.client.get("/fhir/ImagingStudy", params={"identifier": "urn:dicom:uid|urn:oid:1.6.10"}).json()
    assert found["total"] == 0
    assert tasks(web, "1.6.10") == []
    assert web.client.delete("/dicomweb/studies/1.6.10").status_code == 404
    web.store(*slices("1.6.10"))
    assert web.imaging_study("1.6.10")["numberOfInstances"] == 1


def test_a_part_of_a_study_is_deleted_from_its_imaging_study(web: Web) -> None:
    web.store(*slices("1.6.11", 2), *slices("1.6.11", 2, series="2"))
    assert web.client.delete("/dicomweb/studies/1.6.11/series/1.6.11.1").status_code == 204
    one = "/dicomweb/studies/1.6.11/series/1.6.11.2/instances/1.6.11.2.1"
    assert web.client.delete(one).status_code == 204
    study = web.imaging_study("1.6.11")
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 1)
    assert web.client.get(one).status_code == 404
    assert web.found("/studies?StudyInstanceUID=1.6.11")[0]["00201208"]["Value"] == [1]


def test_a_study_under_legal_hold_stays(web: Web) -> None:
    web.store(*slices("1.6.12"))
    hold = f"/fhir/ImagingStudy/{web.imaging_study('1.6.12')['id']}/$legal-hold"
    body: dict[str, Any] = {"resourceType": "Parameters", "parameter": [{"name": "on", "valueBoolean": True}]}
    assert web.client.post(hold, json=body).status_code == 200
    assert web.client.delete("/dicomweb/studies/1.6.12").status_code == 409
    web.store(*slices("1.6.12", 2))
    assert web.client.delete("/dicomweb/studies/1.6.12").status_code == 409, "the hold outlives what comes later"
    body["parameter"][0]["valueBoolean"] = False
    web.client.post(hold, json=body)
    assert web.client.delete("/dicomweb/studies/1.6.12").status_code == 204


def test_an_imaging_study_is_not_deleted_without_its_objects(web: Web) -> None:
    web.store(*slices("1.6.14"))
    place = f"/fhir/ImagingStudy/{web.imaging_study('1.6.14')['id']}"
    refused = web.client.delete(place)
    assert (refused.status_code, "/dicomweb/studies" in refused.text) == (422, True)
    assert web.client.get(place).status_code == 200
    assert web.client.delete("/dicomweb/studies/1.6.14").status_code == 204
    assert web.client.get(place).status_code == 410


def test_what_is_derived_is_rebuilt(web: Web) -> None:
    web.store(*slices("1.6.13", 3))
    study = web.imaging_study("1.6.13")
    cut = {**study, "numberOfInstances": 1, "series": [{**study["series"][0], "instance": []}]}
    del cut["series"][0]["instance"]
    assert web.client.put(f"/fhir/ImagingStudy/{study['id']}", json=cut).is_success
    answer = web.client.post(f"/fhir/ImagingStudy/{study['id']}/$rebuild")
    assert answer.status_code == 200, answer.text
    assert answer.json()["numberOfInstances"] == 3


def test_nothing_is_left_of_the_studies_of_an_erased_patient(web: Web) -> None:
    patient = person(web, "R15")
    web.store(*slices("1.6.15", 2, patient="R15"))
    body = {"resourceType": "Parameters", "parameter": [{"name": "dryRun", "valueBoolean": False}]}
    answer = web.client.post(f"/fhir/Patient/{patient}/$erase", json=body)
    assert answer.status_code == 200, answer.text
    web.server.settle()
    assert web.found("/studies?StudyInstanceUID=1.6.15") == []
    for place in ("/metadata", "", "/series/1.6.15.1/instances/1.6.15.1.1/frames/1"):
        assert web.get(f"/studies/1.6.15{place}").status_code == 404
    assert web.found("/instances?SOPInstanceUID=1.6.15.1.1") == []
