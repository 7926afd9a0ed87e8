"""pydicom's own files, in and out: each comes back bit by bit, or is refused for what is wrong with it."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from tests.plugins.dicomweb.web.conftest import Web, multipart

_APART = ("UN", "OB", "OW", "SQ", "DS", "FL", "FD")
FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
KIND = 'multipart/related; type="application/dicom"; boundary=b'
_BAD = {
    "MR_truncated.dcm", "rtplan_truncated.dcm", "no_meta.dcm", "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm",
    "rtstruct.dcm", "meta_missing_tsyntax.dcm",
}  # fmt: skip
"""Cut off, without a preamble, or without a transfer syntax."""


def files() -> list[Path]:
    return sorted(each for each in FOLDER.rglob("*.dcm") if each.stat().st_size < 200_000)


def sample() -> list[Path]:
    return files()[::6]


def held(web: Web, path: Path) -> str:
    """Store a file and compare what comes back; return why it was refused, if it was."""
    sent = path.read_bytes()
    answer = web.send(multipart(sent), KIND)
    if answer.status_code == 409:
        return answer.headers.get("warning", "")
    assert answer.status_code in (200, 202), (path.name, answer.text)
    url = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    got = web.client.get(url, headers={"accept": "application/dicom; transfer-syntax=*"})
    assert got.content == sent, path.name
    rows = web.client.get(f"{url}/metadata").json()
    wanted = dcmread(path, stop_before_pixels=True, force=True)
    assert rows[0]["00080018"]["Value"] == [str(wanted.SOPInstanceUID)]
    compare(rows[0], wanted.to_json_dict(suppress_invalid_tags=True), path.name)
    assert web.client.delete(url.replace("http://testserver", "").split("/series")[0]).status_code == 204
    return ""


def compare(mine: dict[str, object], theirs: dict[str, dict[str, object]], name: str) -> None:
    """Hold metadata to what pydicom reads, as far as both say it."""
    for tag, element in theirs.items():
        if tag[:4] in ("7FE0", "0002") or tag == "00080005" or element["vr"] in _APART:
            continue
        values = [each for each in element.get("Value", []) if each not in ("", None)]  # type: ignore[attr-defined]
        found = mine.get(tag)
        assert found is not None, (name, tag)
        said = [each for each in found.get("Value", []) if each is not None]  # type: ignore[attr-defined]
        if element["vr"] in ("CS", "SH", "LO", "AE"):
            assert said == [str(each).strip() for each in values], (name, tag)
        elif element["vr"] in ("US", "UL", "SS", "UI", "DA"):
            assert said == values, (name, tag)


@pytest.mark.parametrize("path", sample(), ids=lambda each: each.name)
def test_a_file_comes_back_as_it_was(web: Web, path: Path) -> None:
    said = held(web, path)
    assert bool(said) == (path.name in _BAD) or "missing" in said or "no value" in said, said


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_all_files_come_back_as_they_were(web: Web) -> None:
    refused = {path.name: said for path in files() if (said := held(web, path))}
    told = {name: said for name, said in refused.items() if name not in _BAD}
    assert all("missing" in said or "no value" in said for said in told.values()), told
    assert len(refused) < len(files()) / 4


@pytest.fixture(scope="module")
def client(web: Web) -> Iterator[DICOMwebClient]:
    yield DICOMwebClient("http://testserver/dicomweb", session=_session(web))


def _session(web: Web) -> "object":
    import requests
    from requests.adapters import BaseAdapter

    class Inside(BaseAdapter):
        """Hands the requests of `requests` to the server of the test."""

        def send(self, request: requests.PreparedRequest, **more: object) -> requests.Response:  # type: ignore[override]
            body = request.body
            answer = web.client.request(
                str(request.method), str(request.url), headers=dict(request.headers), content=body  # type: ignore[arg-type]
            )  # fmt: skip
            made = requests.Response()
            made.status_code, made._content = answer.status_code, answer.content
            made._content_consumed = True  # type: ignore[attr-defined]
            made.headers.update(dict(answer.headers))
            made.url, made.request, made.reason = str(request.url), request, answer.reason_phrase
            return made

        def close(self) -> None:
            """Nothing is open."""

    session = requests.Session()
    session.mount("http://", Inside())
    return session


def test_the_client_of_the_imaging_data_commons_works_with_its_defaults(web: Web, client: DICOMwebClient) -> None:
    found = dcmread(FOLDER / "CT_small.dcm")
    client.store_instances([found])
    study, series, sop = found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID
    assert client.search_for_studies(search_filters={"PatientID": found.PatientID})[0]["0020000D"]["Value"] == [study]
    assert len(client.search_for_series(study)) == len(client.search_for_instances(study, series)) == 1
    assert client.retrieve_instance(study, series, sop).PixelData == found.PixelData
    assert client.retrieve_series(study, series)[0].PixelData == found.PixelData
    assert client.retrieve_study(study)[0].PixelData == found.PixelData
    assert client.retrieve_instance_frames(study, series, sop, [1])[0] == found.PixelData
    metadata = client.retrieve_series_metadata(study, series)[0]
    assert metadata["00080060"]["Value"] == ["CT"]
    assert client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])[0] == found.PixelData
    rendered = client.retrieve_instance_rendered(study, series, sop, media_types=("image/png",))
    assert rendered.startswith(b"\x89PNG")
    client.delete_study(study)
    assert client.search_for_studies(search_filters={"PatientID": found.PatientID}) == []


def test_dicomtrolley_finds_and_downloads(web: Web) -> None:
    from dicomtrolley.core import QueryLevels
    from dicomtrolley.qido_rs import HierarchicalQuery, QidoRS
    from dicomtrolley.wado_rs import WadoRS

    found = dcmread(FOLDER / "MR_small.dcm")
    web.send(multipart((FOLDER / "MR_small.dcm").read_bytes()), KIND)
    session = _session(web)
    searcher = QidoRS(session=session, url="http://testserver/dicomweb")  # type: ignore[arg-type]
    (study,) = searcher.find_studies(
        HierarchicalQuery(StudyInstanceUID=found.StudyInstanceUID, query_level=QueryLevels.SERIES)
    )
    assert study.uid == found.StudyInstanceUID
    downloader = WadoRS(session=session, url="http://testserver/dicomweb")  # type: ignore[arg-type]
    assert [each.PixelData for each in downloader.datasets([study])] == [found.PixelData]
