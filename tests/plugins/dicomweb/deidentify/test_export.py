"""Studies without identity as they leave the server: as a ZIP, as a job, one by one."""

import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from fhir_server.testing.server import TestServer, serving
from tests.plugins.dicomweb.pixels.files import image
from tests.plugins.only import but

DICOM = {"content-type": "application/dicom", "accept": "application/dicom+json"}
JSON = {"accept": "application/dicom+json"}
STUDY, SERIES = generate_uid(), generate_uid()


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with serving(plugins_disabled=but("dicomweb"), plugins={"dicomweb": {"deidentify_at_once": 3}}) as running:
        same: dict[str, Any] = {
            "StudyInstanceUID": STUDY,
            "SeriesInstanceUID": SERIES,
            "PatientName": "Njoroge^Wanjiku",
        }
        for number in range(2):
            pixels = np.full((8, 8), number, np.uint16)
            content = image(pixels, StudyDate="20261101", InstanceNumber=str(number), **same)
            assert running.client.post("/dicomweb/studies", content=content, headers=DICOM).status_code == 200
        burnt = image(np.zeros((8, 8), np.uint16), BurnedInAnnotation="YES", **same)
        assert running.client.post("/dicomweb/studies", content=burnt, headers=DICOM).status_code == 200
        running.settle()
        yield running


def imaging_study(server: TestServer) -> str:
    found = server.client.get(f"/fhir/ImagingStudy?identifier=urn:dicom:uid|urn:oid:{STUDY}").json()
    return str(found["entry"][0]["resource"]["id"])


def test_a_study_leaves_as_a_zip_without_names(server: TestServer) -> None:
    answer = server.client.get(f"/fhir/ImagingStudy/{imaging_study(server)}/$deidentify?option=shift&project=lung")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        names = [name for name in packed.namelist() if "/IM" in name]
        objects = [dcmread(io.BytesIO(packed.read(name))) for name in names]
        listed = dcmread(io.BytesIO(packed.read("DICOMDIR"))).DirectoryRecordSequence
        assert "text is burnt into the image" in packed.read("left-out.txt").decode()
    assert len(objects) == 2
    assert ["/".join(each.ReferencedFileID) for each in listed if "ReferencedFileID" in each] == names
    assert len({each.SeriesInstanceUID for each in objects}) == 1
    assert all(each.StudyInstanceUID != STUDY and each.StudyDate < "20261101" for each in objects)
    assert b"Njoroge" not in answer.content
    assert STUDY.encode() not in answer.content
    again = server.client.get(f"/fhir/ImagingStudy/{imaging_study(server)}/$deidentify?option=shift&project=bone")
    assert objects[0].StudyInstanceUID.encode() not in again.content


def test_it_can_be_a_job(server: TestServer) -> None:
    answer = server.client.get(
        f"/fhir/ImagingStudy/{imaging_study(server)}/$deidentify", headers={"prefer": "respond-async"}
    )
    assert answer.status_code == 202, answer.text
    place = answer.headers["content-location"]
    for _ in range(200):
        status = server.client.get(place)
        if status.status_code != 202:
            break
        server.clock.go_on(1)
        time.sleep(0.05)  # a job that shows no life on that clock would count as stalled
    assert status.status_code == 200, status.text
    content = status.content
    if status.headers["content-type"] != "application/zip":
        raise AssertionError(status.text[:500])
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert len([name for name in packed.namelist() if "/IM" in name]) == 2


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [("option=everything", 400, "no option"), ("option=dates&option=shift", 400, "either kept")],
)
def test_wrong_options_are_named(server: TestServer, query: str, status: int, said: str) -> None:
    answer = server.client.get(f"/fhir/ImagingStudy/{imaging_study(server)}/$deidentify?{query}")
    assert answer.status_code == status
    assert said in answer.json()["issue"][0]["diagnostics"]


def test_a_study_that_is_not_there_is_not_found(server: TestServer) -> None:
    assert server.client.get("/fhir/ImagingStudy/nowhere/$deidentify").status_code == 404


def test_an_instance_is_retrieved_without_identity(server: TestServer) -> None:
    rows = server.client.get(
        f"/dicomweb/studies/{STUDY}/instances", headers={"accept": "application/dicom+json"}
    ).json()
    path = f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{rows[0]['00080018']['Value'][0]}"
    answer = server.client.get(f"{path}?deidentify=shift", headers={"accept": "application/dicom"})
    assert answer.status_code == 200, answer.text
    assert b"Njoroge" not in answer.content
    assert STUDY.encode() not in answer.content
    assert server.client.get(f"{path}?deidentify=all", headers={"accept": "application/dicom"}).status_code == 400
    assert server.client.get(f"{path}/metadata?deidentify=").status_code == 400
