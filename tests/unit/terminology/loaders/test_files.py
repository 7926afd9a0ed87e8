"""The files of a release: folders, archives, files alone, and what cannot be read."""

import bz2
import zipfile
from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.loaders.loinc import Loinc


def test_a_file_is_found_in_a_folder_an_archive_and_alone(tmp_path: Path) -> None:
    inner = tmp_path / "folder" / "deep"
    inner.mkdir(parents=True)
    (inner / "A.csv").write_text("code\n1\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(inner / "A.csv", "deep/A.csv")
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(b"code\n1\n"))
    for path in (tmp_path / "folder", tmp_path / "a.zip", inner / "A.csv", tmp_path / "a.csv.bz2"):
        release = Release(path)
        assert [dict(row) for row in release.rows(release.one(r"a\.csv(\.bz2)?", "table"))] == [{"code": "1"}]


def test_of_several_the_one_least_deep_is_taken(tmp_path: Path) -> None:
    for folder in ("x/y", "z"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.csv").touch()
    assert Release(tmp_path).one(r"a\.csv", "table") == "z/a.csv"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"LOINC_NUM,STATUS\n1-8,ACTIVE\n", "Loinc.csv has no column LONG_COMMON_NAME"),
        (b"LOINC_NUM,LONG_COMMON_NAME\n1-8,\xff\xfe\n", "Loinc.csv: .*decode"),
        (b'LOINC_NUM,LONG_COMMON_NAME\n1-8,"' + b"x" * 11_000_000, "Loinc.csv: field larger"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "Loinc.csv").write_bytes(data)
    with pytest.raises(BadValue, match=message):
        list(Loinc(tmp_path, "2.0").concepts())
