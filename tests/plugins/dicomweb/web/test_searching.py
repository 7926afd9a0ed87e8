"""QIDO-RS."""

import time
from collections.abc import Iterator

import pytest

from dicomweb.qido.matching import matcher
from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, part10


@pytest.fixture(scope="module")
def full(web: Web) -> Iterator[Web]:
    people = (
        ("Meyer^Jürgen", "20240101", "CT"), ("Meyers^Ann", "20240215", "MR"), ("O'Hara^Scarlett", "20250301", "CT"),
        ("Yamada^Tarou=山田^太郎", "20250401", "US"), ("Meyer^Karl", "20250501", "CT"),
    )  # fmt: skip
    for number, (name, date, modality) in enumerate(people):
        study = f"1.8.{number + 1}"
        more = {"PatientName": name, "StudyDate": date, "Modality": modality, "AccessionNumber": f"ACC{number}"}
        objects = [part10(ct(f"Q{number}", study, series, one, **more)) for series in ("1", "2") for one in (1, 2)]
        assert web.store(*objects).status_code in (200, 202)
    yield web


def studies(web: Web, query: str) -> set[str]:
    return {row["0020000D"]["Value"][0] for row in web.found(f"/studies?PatientID=Q*&{query}")}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("PatientName=Meyer^*", {1, 5}),
        ("PatientName=meyer*", {1, 2, 5}),
        ("PatientName=MEYER^JURGEN", {1}),
        ("PatientName=*Scarlett", {3}),
        ("PatientName=Meyer?^Ann", {2}),
        ("PatientName=山田*", {4}),
        ("PatientName=jurg&fuzzymatching=true", {1}),
        ("PatientName=karl meyer&fuzzymatching=true", {5}),
        ("00100010=Meyer^Karl", {5}),
        ("StudyDate=20240101", {1}),
        ("StudyDate=20240101-20241231", {1, 2}),
        ("StudyDate=20250401-", {4, 5}),
        ("StudyDate=-20240101", {1}),
        ("StudyTime=1000-1100", {1, 2, 3, 4, 5}),
        ("StudyTime=1100-", set()),
        ("ModalitiesInStudy=MR,US", {2, 4}),
        ("ModalitiesInStudy=MR%5CUS", {2, 4}),
        ("ModalitiesInStudy=MR&ModalitiesInStudy=US", {2, 4}),
        ("AccessionNumber=ACC?", {1, 2, 3, 4, 5}),
        ("AccessionNumber=ACC3", {4}),
        ("StudyInstanceUID=1.8.1,1.8.4", {1, 4}),
        ("StudyInstanceUID=1.8.1%5C1.8.4", {1, 4}),
        ("StudyDescription=", {1, 2, 3, 4, 5}),
        ("NumberOfStudyRelatedInstances=4&PatientName=O'Hara*", {3}),
        ("PatientBirthDate=18151210&PatientSex=F&StudyDate=20250501", {5}),
    ],
)
def test_studies_are_found(full: Web, query: str, numbers: set[int]) -> None:
    assert studies(full, query) == {f"1.8.{number}" for number in numbers}


def test_all_that_has_to_be_returned_is(full: Web) -> None:
    row = full.found("/studies?StudyInstanceUID=1.8.1")[0]
    required = "00080020 00080030 00080050 00080061 00080090 00081190 00100010 00100020 00100030 00100040 0020000D"
    assert set(f"{required} 00200010 00201206 00201208".split()) <= set(row)
    assert (row["00201206"]["Value"], row["00201208"]["Value"], row["00080061"]["Value"]) == ([2], [4], ["CT"])
    assert row["00081190"]["Value"][0].endswith("/dicomweb/studies/1.8.1")
    assert row["00080090"] == {"vr": "PN"}


def test_fields_are_included_by_name_by_tag_and_all(full: Web) -> None:
    assert "00081030" not in full.found("/studies?StudyInstanceUID=1.8.1")[0]
    for wanted in ("StudyDescription", "00081030", "all", "00081030,00080060"):
        row = full.found(f"/studies?StudyInstanceUID=1.8.1&includefield={wanted}")[0]
        assert row["00081030"]["Value"] == ["Chest"]


def test_series_and_instances_are_found_below_and_everywhere(full: Web) -> None:
    assert len(full.found("/studies/1.8.2/series")) == 2
    assert len(full.found("/studies/1.8.2/instances")) == 4
    assert len(full.found("/studies/1.8.2/series/1.8.2.2/instances")) == 2
    rows = full.found("/series?PatientID=Q2")
    assert {row["0020000E"]["Value"][0] for row in rows} == {"1.8.3.1", "1.8.3.2"}
    assert rows[0]["00100020"]["Value"] == ["Q2"]
    assert len(full.found("/series?Modality=CT&PatientID=Q*")) == 6
    assert full.found("/instances?SOPInstanceUID=1.8.4.2.1")[0]["0020000D"]["Value"] == ["1.8.4"]
    assert [row["00200013"]["Value"] for row in full.found("/studies/1.8.1/series/1.8.1.1/instances")] == [[1], [2]]
    assert len(full.found("/studies/1.8.1/instances?InstanceNumber=2")) == 2


def test_attributes_beyond_the_index_are_searched_within_a_study(full: Web) -> None:
    assert len(full.found("/studies/1.8.1/instances?BitsStored=16")) == 4
    assert full.found("/studies/1.8.1/instances?BitsStored=12") == []
    assert full.get("/studies?BitsStored=16").status_code == 400


def test_a_page_follows_the_other_without_a_gap(full: Web) -> None:
    whole = [row["0020000D"]["Value"][0] for row in full.found("/studies?PatientID=Q*")]
    paged = []
    for offset in range(0, 6, 2):
        answer = full.get(f"/studies?PatientID=Q*&limit=2&offset={offset}")
        paged += [row["0020000D"]["Value"][0] for row in answer.json()]
        assert ("more matches" in answer.headers.get("warning", "")) == (offset < 4)
    assert paged == whole == [f"1.8.{number}" for number in (5, 4, 3, 2, 1)]
    assert full.get("/studies/count?PatientID=Q*").json() == {"count": 5}
    assert full.found("/studies?PatientID=Q*&limit=0") == []


def test_nothing_found_is_an_empty_array(full: Web) -> None:
    answer = full.get("/studies?PatientID=NOBODY")
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize(
    "query",
    [
        "StudyDate=2024-01-01", "StudyDate=yesterday", "StudyDate=-", "StudyTime=25", "limit=-1", "limit=x",
        "offset=1.5", "fuzzymatching=maybe", "NoSuchThing=1", "0010=1", "includefield=NoSuchThing",
        "StudyInstanceUID=abc",
        "SeriesNumber=x", "PixelData=1", "PatientID=1&PatientID=2", "StudyDate=20241301",
        "StudyDate=20260230",
    ],
)  # fmt: skip
def test_a_bad_search_is_told_and_not_answered_with_nothing(full: Web, query: str) -> None:
    path = "/series" if query.startswith("SeriesNumber") else "/studies"
    assert full.get(f"{path}?{query}").status_code == 400


@pytest.mark.parametrize(
    ("asked", "matches"),
    [("*", True), ("a*", True), ("*c", True), ("a*b*c", True), ("a?c*", False), ("a?b*?bc", True), ("*x*", True),
     ("*b*b*b*", False), ("ab", False), ("a.*c", False), ("**c**", True), ("c*", False), ("*a", False)],
)  # fmt: skip
def test_stars_and_question_marks_stand_for_what_they_should(asked: str, matches: bool) -> None:
    holds = matcher("00081030", asked)
    assert (holds is None or holds({"00081030": {"vr": "LO", "Value": ["axb\nxbc"]}})) is matches


def test_many_stars_do_not_hold_the_server_up() -> None:
    holds = matcher("00204000", "*a" * 30 + "*b")
    assert holds is not None
    began = time.monotonic()
    assert not holds({"00204000": {"vr": "LT", "Value": ["a" * 10_000]}})
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/dicom+json"), ("*/*", "application/dicom+json"),
        ("application/json", "application/dicom+json"),
        ("application/dicom+json, multipart/related; type=application/octet-stream", "application/dicom+json"),
        ("text/html, application/dicom+json;q=0.1", "application/dicom+json"),
        ('multipart/related; type="application/dicom+xml"', 'multipart/related; type="application/dicom+xml"'),
        ("multipart/related; type=application/dicom+xml", 'multipart/related; type="application/dicom+xml"'),
    ],
)  # fmt: skip
def test_rows_come_as_the_client_takes_them(full: Web, accept: str, kind: str) -> None:
    answer = full.get("/studies?PatientID=Q1", accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


def test_what_nobody_makes_is_not_acceptable(full: Web) -> None:
    assert full.get("/studies", "text/csv").status_code == 406
