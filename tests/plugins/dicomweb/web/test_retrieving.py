"""WADO-RS and WADO-URI."""

import io
import zipfile
from collections.abc import Iterator

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, part10, parts_of, slices

SERIES = "/studies/1.7.1/series/1.7.1.1"
ONE = f"{SERIES}/instances/1.7.1.1.1"
OCTETS = "application/octet-stream"


@pytest.fixture(scope="module")
def full(web: Web) -> Iterator[Web]:
    multi = ct(study="1.7.2", NumberOfFrames=3, PixelData=bytes(range(256)) * 6)
    packed = ct(study="1.7.3", NumberOfFrames=2)
    packed.file_meta.TransferSyntaxUID = JPEG2000Lossless
    packed.PixelData = encapsulate([b"\xff\x4f" + b"one!" * 40, b"\xff\x4f" + b"two!" * 50])
    packed["PixelData"].is_undefined_length = True
    split = ct(study="1.7.4")
    split.file_meta.TransferSyntaxUID = JPEG2000Lossless
    split.PixelData = encapsulate([b"\xff\x4f" + b"abc!" * 40], fragments_per_frame=3)
    split["PixelData"].is_undefined_length = True
    assert web.store(*slices("1.7.1", 3), part10(multi), part10(packed), part10(split)).status_code == 200
    yield web


def test_an_instance_comes_alone_whole_and_in_ranges(full: Web) -> None:
    whole = full.get(ONE, "application/dicom")
    assert whole.content == slices("1.7.1")[0]
    assert whole.headers["accept-ranges"] == "bytes"
    part = full.get(ONE, "application/dicom", range="bytes=128-131")
    assert (part.status_code, part.content) == (206, b"DICM")
    assert part.headers["content-range"] == f"bytes 128-131/{len(whole.content)}"
    assert full.get(ONE, "application/dicom", range="bytes=-4").content == whole.content[-4:]
    beyond = full.get(ONE, "application/dicom", range="bytes=99999999-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")


def test_what_the_client_has_is_not_sent_again(full: Web) -> None:
    for path, accept in ((ONE, "application/dicom"), (f"{SERIES}/metadata", ""), (f"{ONE}/frames/1", OCTETS)):
        etag = full.get(path, accept).headers["etag"]
        again = full.get(path, accept, if_none_match=etag)
        assert (again.status_code, again.content) == (304, b"")


def test_head_says_what_get_would(full: Web) -> None:
    for path in (ONE, "/studies/1.7.1", f"{SERIES}/metadata", "/studies"):
        answer = full.client.head(f"/dicomweb{path}")
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_study_comes_as_a_zip(full: Web) -> None:
    answer = full.get("/studies/1.7.1", "application/zip")
    files = zipfile.ZipFile(io.BytesIO(answer.content))
    assert files.testzip() is None
    assert files.read("DICOM/ST000001/SE000001/IM000001") == slices("1.7.1")[0]
    assert len(files.namelist()) == 3 + len(["DICOMDIR"])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", f'multipart/related; type="{OCTETS}"'),
        ('multipart/related; type="*/*"', f'multipart/related; type="{OCTETS}"'),
        (f"multipart/related; type={OCTETS}; transfer-syntax=*", f'multipart/related; type="{OCTETS}"'),
        (f'multipart/related; type="{OCTETS}"; transfer-syntax=1.2.840.10008.1.2.1', "multipart/related"),
        (f"application/dicom+json, multipart/related; type={OCTETS}", "multipart/related"),
        (OCTETS, OCTETS),
        ("*/*", "multipart/related"),
    ],
)
def test_frames_come_as_viewers_ask_for_them(full: Web, accept: str, kind: str) -> None:
    answer = full.get(f"{ONE}/frames/1", accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    body = parts_of(answer)[0][1] if kind.startswith("multipart") else answer.content
    assert body == ct(study="1.7.1").PixelData


def test_frames_are_cut_out_of_native_pixels(full: Web) -> None:
    answer = full.get("/studies/1.7.2/series/1.7.2.1/instances/1.7.2.1.1/frames/3,1")
    bodies = [body for _, body in parts_of(answer)]
    assert bodies == [bytes(range(256)) * 2] * 2
    assert "Content-Location: " in parts_of(answer)[0][0]


def test_encapsulated_frames_come_as_they_are(full: Web) -> None:
    for study, frames in (
        ("1.7.3", [b"\xff\x4f" + b"one!" * 40, b"\xff\x4f" + b"two!" * 50]), ("1.7.4", [b"\xff\x4f" + b"abc!" * 40])
    ):  # fmt: skip
        path = f"/studies/{study}/series/{study}.1/instances/{study}.1.1"
        numbers = ",".join(str(each + 1) for each in range(len(frames)))
        for accept in ("*/*", "image/jp2", f"{OCTETS}; transfer-syntax=*"):
            answer = full.get(f"{path}/frames/{numbers}", f"multipart/related; type={accept}")
            assert [body for _, body in parts_of(answer)] == frames
            assert f"image/jp2; transfer-syntax={JPEG2000Lossless}" in parts_of(answer)[0][0]
        assert [body for _, body in parts_of(full.get(f"{path}/bulkdata/7FE00010"))] == frames


@pytest.mark.parametrize(("frames", "status"), [("0", 400), ("4", 404), ("x", 400), ("1,,2", 400), ("-1", 400)])
def test_frames_that_are_not_there_are_told(full: Web, frames: str, status: int) -> None:
    assert full.get(f"/studies/1.7.2/series/1.7.2.1/instances/1.7.2.1.1/frames/{frames}").status_code == status


def test_frames_are_transcoded(full: Web) -> None:
    answer = full.get(f"{ONE}/frames/1", 'multipart/related; type="image/jphc"')
    assert answer.status_code == 200
    head, body = parts_of(answer)[0]
    assert "image/jphc; transfer-syntax=1.2.840.10008.1.2.4.201" in head
    assert body.startswith(b"\xff\x4f")


def test_an_object_is_transcoded(full: Web) -> None:
    answer = full.get(ONE, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90")
    assert answer.status_code == 200
    made = pydicom.dcmread(io.BytesIO(answer.content))
    assert made.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert made.pixel_array.tobytes() == ct(study="1.7.1").PixelData
    assert full.get(ONE, "application/dicom; transfer-syntax=1.2.3.4").status_code == 406


def test_metadata_has_all_but_bulk_data(full: Web) -> None:
    rows = full.get(f"{SERIES}/metadata").json()
    assert len(rows) == 3
    assert rows[0]["00100010"]["Value"] == [{"Alphabetic": "Lovelace^Ada"}]
    uri = rows[0]["7FE00010"]["BulkDataURI"]
    assert uri == f"http://testserver/dicomweb{ONE}/bulkdata/7FE00010"
    assert full.client.get(uri, headers={"accept": OCTETS}).content == ct(study="1.7.1").PixelData
    part = full.client.get(uri, headers={"accept": OCTETS, "range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, ct(study="1.7.1").PixelData[2:6])


def test_the_metadata_of_a_series_is_kept_ready_until_it_changes(full: Web) -> None:
    full.store(*slices("1.7.5", 2))
    first = full.get("/studies/1.7.5/series/1.7.5.1/metadata", accept_encoding="gzip")
    assert "accept-encoding" in first.headers["vary"]
    assert len(first.json()) == 2
    full.store(*slices("1.7.5", 3))
    again = full.get("/studies/1.7.5/series/1.7.5.1/metadata", if_none_match=first.headers["etag"])
    assert (again.status_code, len(again.json())) == (200, 3)
    assert len(full.get("/studies/1.7.5/metadata").json()) == 3
    elsewhere = full.get("/studies/1.7.5/series/1.7.5.1/metadata", host="pacs.example.org").json()
    assert "pacs.example.org" in elsewhere[0]["7FE00010"]["BulkDataURI"]


def test_values_of_items_are_bulk_data_too(full: Web) -> None:
    inner = pydicom.Dataset()
    inner.add_new((0x0029, 0x0010), "LO", "TEST")
    inner.add_new((0x0029, 0x1001), "OB", b"\x01\x02" * 5_000)
    outer = ct(study="1.7.6")
    outer.ReferencedImageSequence = [pydicom.Dataset(), inner]
    full.store(part10(outer))
    row = full.get("/studies/1.7.6/metadata").json()[0]["00081140"]["Value"][1]["00291001"]
    assert row["BulkDataURI"].endswith("/bulkdata/00081140/2/00291001")
    assert full.client.get(row["BulkDataURI"], headers={"accept": OCTETS}).content == b"\x01\x02" * 5_000
    assert full.client.get(row["BulkDataURI"].replace("/2/", "/3/")).status_code == 404


@pytest.mark.parametrize("place", [ONE, SERIES, "/studies/1.7.1", f"{ONE}/frames/1"])
@pytest.mark.parametrize("what", ["rendered", "thumbnail"])
def test_images_are_shown(full: Web, place: str, what: str) -> None:
    answer = full.get(f"{place}/{what}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert full.get(f"{place}/{what}", "image/png").content.startswith(b"\x89PNG")


def test_the_old_way_by_uri(full: Web) -> None:
    asked = "/wado?requestType=WADO&studyUID=1.7.1&seriesUID=1.7.1.1&objectUID=1.7.1.1.1"
    assert full.client.get(f"{asked}&contentType=application/dicom").content == slices("1.7.1")[0]
    assert full.client.get(asked).headers["content-type"] == "image/jpeg"
    assert full.client.get(f"{asked}&frameNumber=9").status_code == 404
    assert full.client.get("/wado?requestType=WADO&studyUID=1.7.1").status_code == 400


def test_objects_come_without_identity_on_request(full: Web) -> None:
    answer = full.get(f"{ONE}?deidentify=", "application/dicom")
    assert answer.status_code == 200
    made = pydicom.dcmread(io.BytesIO(answer.content))
    assert "Lovelace" not in str(made.get("PatientName", ""))
    assert made.StudyInstanceUID != "1.7.1"
    assert full.get(f"{ONE}/metadata?deidentify=").status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/studies/9.9", "/studies/9.9/metadata", "/studies/1.7.1/series/9/instances/9", "/nothing", "/studies/1/x"],
)
def test_what_is_not_there_is_not_found(full: Web, path: str) -> None:
    answer = full.get(path)
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_path_without_uids_is_told(full: Web) -> None:
    assert full.get("/studies/abc/metadata").status_code == 400


def test_capabilities_are_told_to_anybody(full: Web) -> None:
    answer = full.client.options("/dicomweb")
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    assert b'path="studies/{study}/series/{series}/metadata"' in answer.content
    assert full.client.options("/dicomweb/", headers={"accept": "application/json"}).json()["resources"]


def test_pages_of_other_origins_may_ask(full: Web) -> None:
    asks = {"origin": "https://viewer.example", "access-control-request-method": "GET"}
    for path in ("/dicomweb/studies", f"/dicomweb{ONE}", "/dicomweb/workitems", "/wado"):
        answer = full.client.options(path, headers=asks)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*"), path
        assert "Authorization" in answer.headers["access-control-allow-headers"]
    read = full.client.get("/dicomweb/studies", headers={"origin": "https://viewer.example"})
    assert read.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in full.client.get("/dicomweb/studies").headers
