"""STOW-RS: what is stored, what is refused, and how it is told."""

import base64
import json

import httpx
import pytest

from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, multipart, part10, parts_of, slices


def reasons(answer: httpx.Response) -> list[int]:
    items = [each for tag in ("00081198", "0008119A") for each in answer.json().get(tag, {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


def test_objects_are_stored_and_come_back_bit_by_bit(web: Web) -> None:
    objects = slices("1.9.1", 3)
    answer = web.store(*objects)
    assert answer.status_code == 200
    assert len(answer.json()["00081199"]["Value"]) == 3
    assert answer.json()["00081190"]["Value"][0].endswith("/dicomweb/studies/1.9.1")
    assert [body for _, body in parts_of(web.get("/studies/1.9.1"))] == objects


def test_the_good_half_of_a_request_is_stored(web: Web) -> None:
    good = slices("1.9.2")[0]
    answer = web.store(good, good[:-100], b"no DICOM at all" * 20)
    assert answer.status_code == 202
    assert len(answer.json()["00081199"]["Value"]) == 1
    assert reasons(answer) == [0xC000, 0xC000]
    assert "ends 100 bytes before" in answer.headers["warning"]
    assert "preamble" in answer.headers["warning"]


def test_nothing_stored_is_a_conflict(web: Web) -> None:
    answer = web.store(b"x" * 200)
    assert answer.status_code == 409
    assert "00081199" not in answer.json()


def test_an_object_of_another_study_than_the_path_names_is_refused(web: Web) -> None:
    answer = web.store(slices("1.9.3")[0], study="1.9.4")
    assert answer.status_code == 409
    assert reasons(answer) == [0xA900]
    assert web.found("/studies?StudyInstanceUID=1.9.3,1.9.4") == []


def test_the_same_again_is_accepted_and_not_stored_twice(web: Web) -> None:
    objects = slices("1.9.5")
    web.store(*objects)
    before = web.imaging_study("1.9.5")["meta"]["versionId"]
    assert web.store(*objects, *objects).status_code == 200
    assert web.imaging_study("1.9.5")["meta"]["versionId"] == before


def test_other_content_under_the_same_uid_is_refused(web: Web) -> None:
    web.store(*slices("1.9.6"))
    answer = web.store(part10(ct(study="1.9.6", number=1, SeriesDescription="another")))
    assert answer.status_code == 409
    assert reasons(answer) == [0x0111]


def test_an_instance_cannot_move_to_another_study(web: Web) -> None:
    web.store(*slices("1.9.7"))
    stranger = ct(study="1.9.8", number=1)
    stranger.SOPInstanceUID = stranger.file_meta.MediaStorageSOPInstanceUID = "1.9.7.1.1"
    assert reasons(web.store(part10(stranger))) == [0x0111]


def test_a_study_takes_no_objects_of_another_patient(web: Web) -> None:
    web.store(*slices("1.9.9"))
    answer = web.store(part10(ct(study="1.9.9", number=2, patient="SOMEBODY")))
    assert answer.status_code == 409
    assert "another patient" in answer.headers["warning"]


@pytest.mark.parametrize(
    ("name", "status"), [("StudyInstanceUID", 0x0120), ("SeriesInstanceUID", 0x0120), ("SOPInstanceUID", 0x0120)]
)
def test_a_missing_uid_is_told(web: Web, name: str, status: int) -> None:
    data_set = ct(study="1.9.10")
    delattr(data_set, name)
    assert reasons(web.store(part10(data_set))) == [status]


def test_one_object_may_come_alone(web: Web) -> None:
    assert web.send(slices("1.9.11")[0], "application/dicom").status_code == 200
    assert len(web.found("/studies/1.9.11/instances")) == 1


def test_objects_may_come_as_json_with_bulk_data_beside(web: Web) -> None:
    data_set = ct(study="1.9.12")
    pixels = data_set.PixelData
    described = data_set.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda element: "the/pixels")
    body = b"--b\r\nContent-Type: application/dicom+json\r\n\r\n" + json.dumps([described], default=str).encode()
    body += b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Location: the/pixels\r\n\r\n" + pixels
    answer = web.send(body + b"\r\n--b--\r\n", 'multipart/related; type="application/dicom+json"; boundary=b')
    assert answer.status_code == 200, answer.text
    frame = web.get("/studies/1.9.12/series/1.9.12.1/instances/1.9.12.1.1/frames/1", "application/octet-stream")
    assert frame.content == pixels


def test_metadata_without_its_bulk_data_is_refused(web: Web) -> None:
    described = ct(study="1.9.13").to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda element: "gone")
    body = (
        b"--b\r\nContent-Type: application/dicom+json\r\n\r\n"
        + json.dumps([described], default=str).encode()
        + b"\r\n--b--\r\n"
    )
    answer = web.send(body, 'multipart/related; type="application/dicom+json"; boundary=b')
    assert answer.status_code == 409
    assert "no bulk data" in answer.headers["warning"]


def test_objects_may_come_as_xml(web: Web) -> None:
    web.store(*slices("1.9.14"))
    one = "/studies/1.9.14/series/1.9.14.1/instances/1.9.14.1.1"
    written = parts_of(web.get(f"{one}/metadata", 'multipart/related; type="application/dicom+xml"'))[0][1]
    pixels = web.get(f"{one}/bulkdata/7FE00010", "application/octet-stream").content
    place = written.split(b'BulkData uri="')[1].split(b'"')[0]
    again = written.replace(b"1.9.14", b"1.9.15")
    body = b"--b\r\nContent-Type: application/dicom+xml\r\n\r\n" + again
    body += b"\r\n--b\r\nContent-Location: " + place.replace(b"1.9.14", b"1.9.15") + b"\r\n\r\n" + pixels
    answer = web.send(body + b"\r\n--b--", 'multipart/related; type="application/dicom+xml"; boundary=b')
    assert answer.status_code == 200, answer.text
    assert web.found("/studies/1.9.15/instances")[0]["00280010"]["Value"] == [16]


def test_the_answer_comes_as_xml_too(web: Web) -> None:
    answer = web.store(*slices("1.9.16"), accept="application/dicom+xml")
    assert answer.headers["content-type"].startswith("application/dicom+xml")
    assert b'keyword="ReferencedSOPSequence"' in answer.content


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ('multipart/related; type="text/plain"; boundary=b', multipart(b"x"), 415),
        ('multipart/related; type="application/dicom"', multipart(b"x"), 400),
        ('multipart/related; type="application/dicom"; boundary=b', multipart(b"DI")[:40], 400),
        ('multipart/related; type="application/dicom"; boundary=b', b"--b--\r\n", 400),
        ('multipart/related; type="application/dicom"; boundary=b', b"no boundary at all", 400),
        ('multipart/related; type="application/dicom+json"; boundary=b', b"--b\r\n\r\n{]\r\n--b--", 400),
    ],
)
def test_what_is_no_request_to_store_is_told_so(web: Web, kind: str, body: bytes, status: int) -> None:
    answer = web.send(body, kind)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_what_was_complete_before_the_body_broke_off_is_not_kept_halfway(web: Web) -> None:
    body = multipart(*slices("1.9.17"))[:-10] + b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\nDI"
    assert web.send(body, 'multipart/related; type="application/dicom"; boundary=b').status_code == 400
    assert web.found("/studies?StudyInstanceUID=1.9.17") == []


def test_a_word_of_a_character_set_that_is_none_is_replaced_and_told(web: Web) -> None:
    data_set = part10(ct(study="1.9.18", SpecificCharacterSet="ISO_IR 192", StudyDescription="Chest"))
    answer = web.store(data_set.replace(b"Chest", b"Ch\xff\xfet"))
    assert answer.status_code == 202
    assert answer.json()["00081199"]["Value"][0]["00081196"]["Value"] == [0xB000]
    assert "character set" in answer.headers["warning"]


def test_boundaries_may_fall_anywhere_between_chunks(web: Web) -> None:
    objects = slices("1.9.19", 2)
    body = multipart(*objects)
    pieces = (body[start : start + 7] for start in range(0, len(body), 7))
    assert web.send(pieces, 'multipart/related; type="application/dicom"; boundary=b').status_code == 200
    assert [body for _, body in parts_of(web.get("/studies/1.9.19"))] == objects


def test_inline_binary_values_stand_in_metadata(web: Web) -> None:
    data_set = ct(study="1.9.20")
    data_set.add_new((0x0019, 0x0010), "LO", "TEST")
    data_set.add_new((0x0019, 0x1001), "OB", b"\0\1\2\3")
    web.store(part10(data_set))
    found = web.get("/studies/1.9.20/metadata").json()[0]["00191001"]
    assert base64.b64decode(found["InlineBinary"]) == b"\0\1\2\3"
