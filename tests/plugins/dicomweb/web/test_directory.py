"""The DICOMDIR of a ZIP: viewers find by it what lies on the medium."""

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet
from pydicom.uid import ComprehensiveSRStorage, GrayscaleSoftcopyPresentationStateStorage, JPEGLosslessSV1

from dicomweb.fileset.directory import Described, Directory
from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, part10, slices


def report(study: str, uid: str) -> bytes:
    found = ct(study=study, series="9", number=1)
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(found, name)
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = uid
    found.Modality, found.SeriesNumber, found.StudyID = "SR", None, ""
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "1", "99X", "Befund: Größe"
    found.ConceptNameCodeSequence = [title]
    return part10(found)


def unpacked(web: Web, path: str, folder: Path, accept: str = "application/zip") -> FileSet:
    answer = web.get(path, accept)
    assert answer.status_code == 200, answer.text
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder)
    return held(folder)


def held(folder: Path) -> FileSet:
    found = FileSet(folder / "DICOMDIR")
    found._stage["t"].cleanup()  # a folder for changes, which is else left to the garbage collector
    return found


@pytest.fixture(scope="module")
def study(web: Web) -> str:
    objects = slices("1.7.60", 3, PatientName="Müller^Jörg") + slices("1.7.60", 2, series="2", SeriesNumber=2)
    objects += [report("1.7.60", ComprehensiveSRStorage)]
    assert web.store(*objects).status_code == 200
    return "1.7.60"


def test_each_file_is_found_by_its_record(web: Web, study: str, tmp_path: Path) -> None:
    found = unpacked(web, f"/studies/{study}", tmp_path)
    assert len(found) == 6
    for each in found:
        sent = dcmread(each.path)
        assert sent.SOPInstanceUID == each.SOPInstanceUID
        assert sent.file_meta.TransferSyntaxUID == each.ReferencedTransferSyntaxUIDInFile
        assert all(len(part) <= 8 and part.isupper() for part in Path(each.path).relative_to(tmp_path).parts)
    assert {each.DirectoryRecordType for each in found} == {"IMAGE", "SR DOCUMENT"}
    assert {str(each.PatientName) for each in found} == {"Müller^Jörg"}
    assert sorted(len(found.find(SeriesInstanceUID=uid)) for uid in found.find_values("SeriesInstanceUID")) == [1, 2, 3]
    [text] = found.find(Modality="SR")
    assert text.ConceptNameCodeSequence[0].CodeMeaning == "Befund: Größe"


def test_dcmtk_takes_the_directory_for_one_and_adds_to_it(web: Web, tmp_path: Path) -> None:
    if not shutil.which("/usr/bin/dcmmkdir"):
        pytest.skip("dcmtk is not installed: apt-get install dcmtk")
    assert web.store(*slices("1.7.61", 3)).status_code == 200
    unpacked(web, "/studies/1.7.61", tmp_path)
    shown = subprocess.run(["/usr/bin/dcmdump", "DICOMDIR"], cwd=tmp_path, capture_output=True, check=True)
    assert shown.stdout.count(b"DirectoryRecordType") == 1 + 1 + 1 + 3
    assert shown.stderr == b""
    (tmp_path / "DICOM" / "NEW").write_bytes(slices("1.7.61", 1, series="2")[0])
    add = ["/usr/bin/dcmmkdir", "--append", "--general-purpose", "DICOM/NEW"]
    grown = subprocess.run(add, cwd=tmp_path, capture_output=True, check=False)
    assert (grown.returncode, grown.stderr) == (0, b"")
    assert len(held(tmp_path)) == 4


def test_what_is_transcoded_or_without_identity_is_said_as_it_is_sent(web: Web, study: str, tmp_path: Path) -> None:
    path = f"/studies/{study}/series/{study}.2"
    packed = unpacked(web, path, tmp_path / "1", f"application/zip; transfer-syntax={JPEGLosslessSV1}")
    assert {each.ReferencedTransferSyntaxUIDInFile for each in packed} == {JPEGLosslessSV1}
    assert {dcmread(each.path).file_meta.TransferSyntaxUID for each in packed} == {JPEGLosslessSV1}
    bare = unpacked(web, f"{path}?deidentify=", tmp_path / "2")
    assert {each.SOPInstanceUID for each in bare} == {dcmread(each.path).SOPInstanceUID for each in bare}
    assert study.encode() not in (tmp_path / "2" / "DICOMDIR").read_bytes()
    assert {str(each.PatientName) for each in bare} != {"Müller^Jörg"}


def test_what_a_record_must_say_is_there(tmp_path: Path) -> None:
    directory = Directory()
    bare = Dataset()
    bare.SOPClassUID, bare.SOPInstanceUID = GrayscaleSoftcopyPresentationStateStorage, "1.2.3"
    bare.StudyInstanceUID, bare.SeriesInstanceUID = "1.2", "1.2.1"
    directory.add(directory.place("1.2", "1.2.1"), Described(bare.to_json_dict(), "1.2.840.10008.1.2.1", False))
    (tmp_path / "DICOMDIR").write_bytes(b"".join(directory.chunks()))
    person, study, series, state = dcmread(tmp_path / "DICOMDIR").DirectoryRecordSequence
    assert (person.PatientID, str(person.PatientName)) == ("1.2", "")
    assert (study.StudyDate, study.StudyTime, study.StudyID) == ("19000101", "000000", "1")
    assert (series.Modality, series.SeriesNumber) == ("OT", 1)
    assert (state.DirectoryRecordType, state.InstanceNumber, state.ContentLabel) == ("PRESENTATION", 1, "UNNAMED")


def test_an_object_of_no_kind_is_in_no_directory() -> None:
    directory = Directory()
    rows = {"00080016": {"vr": "UI", "Value": ["1.2.3.4"]}}
    directory.add(directory.place("1.2", "1.2.1"), Described(rows, "1.2.840.10008.1.2.1", pictured=False))
    assert directory.empty
