"""An image arrives: a model looks at it, stores where it looked and what it found, and the worklist has its order."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fhir_imaging_ai.outputs.identity import uid_of
from pydicom import dcmread
from pydicom.uid import generate_uid

from fhir_server.testing.server import TestServer, serving
from tests.plugins.fhir_imaging_ai import pictures
from tests.plugins.only import but

DICOM = {"content-type": "application/dicom", "accept": "application/dicom+json"}
JSON = {"accept": "application/dicom+json"}


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    wanted = {"fhir_imaging_ai": {"models": ["synthetic-nodules"]}}
    with serving(plugins=wanted, plugins_disabled=but("dicomweb", "fhir_imaging_ai")) as running:
        patient = {
            "resourceType": "Patient", "birthDate": "1980-02-14", "gender": "female",
            "name": [{"family": "Njoroge", "given": ["Wanjiku"]}],
            "identifier": [{"system": "http://hospital.example/mrn", "value": "ai-1"}],
        }  # fmt: skip
        assert running.client.post("/fhir/Patient", json=patient).status_code == 201
        yield running


def arrive(server: TestServer, *objects: bytes) -> str:
    for each in objects:
        answer = server.client.post("/dicomweb/studies", content=each, headers=DICOM)
        assert answer.status_code == 200, answer.text
    server.settle()
    server.settle()
    return str(dcmread(io.BytesIO(objects[0]), stop_before_pixels=True).StudyInstanceUID)


def found(server: TestServer, path: str) -> list[dict[str, Any]]:
    answer = server.client.get(f"/fhir/{path}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def task_of(server: TestServer, study: str) -> dict[str, Any]:
    system = "http://fhir-server.org/imaging-ai-run"
    tasks = found(server, f"Task?identifier={system}|{study}:synthetic-nodules:1.0.0")
    assert len(tasks) == 1
    return tasks[0]


def series_of(server: TestServer, study: str) -> dict[str, str]:
    rows = server.client.get(f"/dicomweb/studies/{study}/series", headers=JSON).json()
    return {row["00080060"]["Value"][0]: row["0020000E"]["Value"][0] for row in rows}


def objects_of(server: TestServer, study: str, series: str) -> list[Any]:
    rows = server.client.get(f"/dicomweb/studies/{study}/series/{series}/instances", headers=JSON).json()
    read = []
    for row in rows:
        path = f"/dicomweb/studies/{study}/series/{series}/instances/{row['00080018']['Value'][0]}"
        answer = server.client.get(path, headers={"accept": "application/dicom"})
        read.append(dcmread(io.BytesIO(answer.content[answer.content.index(b"DICM") - 128 :])))
    return read


def test_a_nodule_is_prioritised_with_report_overlay_and_draft(server: TestServer) -> None:
    study = arrive(server, pictures.radiograph(pictures.nodule()))
    task = task_of(server, study)
    assert (task["status"], task["priority"]) == ("requested", "urgent")
    assert "Synthetic nodule in 1 of 1 images" in task["description"]
    assert "without clinical validity" in task["description"]
    assert task["for"]["reference"].startswith("Patient/")

    series = series_of(server, study)
    assert set(series) >= {"DX", "SR", "OT"} or set(series) >= {"DX", "SR", "SC"}
    report = objects_of(server, study, series["SR"])[0]
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.PatientID == "ai-1"
    region = [each for each in _content(report) if each.get("GraphicType") == "ELLIPSE"]
    points = np.asarray(region[0].GraphicData, float).reshape(4, 2)
    assert np.hypot(*(points.mean(0) - (60, 70))) < 10  # where the disc was drawn: column, row

    overlay = objects_of(server, study, series.get("OT") or series["SC"])[0]
    red = overlay.pixel_array.astype(int)
    warm = (red[..., 0] - red[..., 2]) > 40
    rows, columns = np.nonzero(warm)
    assert abs(rows.mean() - 70) < 12
    assert abs(columns.mean() - 60) < 12


def test_what_a_machine_says_is_labelled_preliminary_and_traced(server: TestServer) -> None:
    study = arrive(server, pictures.radiograph(pictures.nodule(60, 64)))
    imaging = found(server, f"ImagingStudy?identifier=urn:dicom:uid|urn:oid:{study}")[0]
    reports = found(server, "DiagnosticReport?status=preliminary&_count=100")
    study_reference = f"ImagingStudy/{imaging['id']}"
    mine = [
        each
        for each in reports
        if each.get("imagingStudy", [{}])[0].get("reference") == study_reference and "Draft by" in each["code"]["text"]
    ]
    assert len(mine) == 1
    observation = server.client.get(f"/fhir/{mine[0]['result'][0]['reference']}").json()
    for each in (mine[0], observation, task_of(server, study)):
        assert each["meta"]["security"][0]["code"] == "AIAST"
    assert observation["status"] == "preliminary"
    assert observation["valueCodeableConcept"]["text"] == "Synthetic nodule"
    assert 0.5 < observation["component"][0]["valueQuantity"]["value"] <= 1
    assert observation["device"]["identifier"]["value"] == "synthetic-nodules-1.0.0"
    traced = found(server, f"Provenance?target=Observation/{observation['id']}")
    assert traced[0]["entity"][0]["what"]["reference"] == f"ImagingStudy/{imaging['id']}"
    devices = found(server, "Device?identifier=http://fhir-server.org/imaging-ai|synthetic-nodules-1.0.0")
    assert len(devices) == 1


def test_one_label_absent_is_routine(server: TestServer) -> None:
    study = arrive(server, pictures.radiograph(pictures.plain()))
    assert task_of(server, study)["priority"] == "routine"


def test_two_labels_need_a_person(server: TestServer) -> None:
    study = arrive(server, pictures.radiograph(pictures.unsure()))
    task = task_of(server, study)
    assert task["reasonCode"]["text"] == "needs-human"
    assert task["priority"] == "urgent"


@pytest.mark.parametrize(
    ("pixels", "attributes", "why"),
    [
        (pictures.plain, {"Modality": "CR", "PhotometricInterpretation": "PALETTE COLOR"}, "kind"),
        (lambda: (np.indices((128, 128)).sum(0) // 8 % 2).astype(float), {}, "kind"),
        (lambda: np.ones((128, 128)), {}, "kind"),
        (lambda: np.random.default_rng(1).normal(size=(128, 128)), {}, "kind"),
    ],
)  # fmt: skip
def test_images_of_another_kind_are_refused(server: TestServer, pixels: Any, attributes: Any, why: str) -> None:
    study = arrive(server, pictures.radiograph(pixels(), **attributes))
    task = task_of(server, study)
    assert task["reasonCode"]["text"] == "refused"
    assert why in task["description"]
    assert set(series_of(server, study)) <= {"DX", "CR"}


def test_an_image_of_another_modality_is_nobodys(server: TestServer) -> None:
    study = arrive(server, pictures.radiograph(pictures.nodule(), Modality="CT"))
    system = "http://fhir-server.org/imaging-ai-run"
    assert found(server, f"Task?identifier={system}|{study}:synthetic-nodules:1.0.0") == []


def test_an_image_is_looked_at_once_and_a_second_one_raises_the_priority(server: TestServer) -> None:
    study, series = generate_uid(), generate_uid()
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    first = pictures.radiograph(pictures.plain(), **uids)
    arrive(server, first)
    arrive(server, first)
    assert task_of(server, study)["priority"] == "routine"
    arrive(server, pictures.radiograph(pictures.nodule(), InstanceNumber="2", **uids))
    task = task_of(server, study)
    assert task["priority"] == "urgent"
    assert len(task["note"]) == 1
    rows = server.client.get(f"/dicomweb/studies/{study}/instances", headers=JSON).json()
    assert len(rows) == 2 + 2 + 2  # images, reports, overlays


def test_inverted_images_are_seen_as_they_are(server: TestServer) -> None:
    study = arrive(server, pictures.radiograph(pictures.nodule(), invert=True))
    assert task_of(server, study)["priority"] == "urgent"


def _content(item: Any) -> Iterator[Any]:
    yield item
    for child in item.get("ContentSequence") or ():
        yield from _content(child)


def test_objects_of_a_run_that_was_broken_off_are_no_failure(server: TestServer) -> None:
    """The report is there already, as after a crash between storing it and noting that the image was looked at."""
    content = pictures.radiograph(pictures.nodule(50, 50))
    dataset = dcmread(io.BytesIO(content))
    uid = uid_of(str(dataset.SOPInstanceUID), "synthetic-nodules", "1.0.0", "SR")
    other = pictures.radiograph(pictures.plain(), Modality="OT", StudyInstanceUID=dataset.StudyInstanceUID)
    stale = dcmread(io.BytesIO(other))
    stale.SOPInstanceUID = stale.file_meta.MediaStorageSOPInstanceUID = uid
    buffer = io.BytesIO()
    stale.save_as(buffer)
    study = arrive(server, buffer.getvalue(), content)
    assert task_of(server, study)["priority"] == "urgent"
