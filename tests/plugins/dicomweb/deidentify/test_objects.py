"""De-identified objects: no value that names somebody is anywhere in their bytes, and they still belong together."""

import io
import re
import warnings
from collections.abc import Iterator
from datetime import date
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom import sr
from pydicom import Dataset, config, dcmread
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sr.codedict import codes
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from dicomweb.deidentify.attributes import identifying, walk
from dicomweb.deidentify.instance import deidentified
from dicomweb.deidentify.keyed import Key
from dicomweb.deidentify.options import NAMES, Options, options_of
from dicomweb.deidentify.rules import rule_of
from dicomweb.deidentify.words import moved
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.quiet import quiet
from tests.plugins.dicomweb.pixels.files import HERE, MORE, image

SECRET = b"s" * 32
STUDY = generate_uid()


@pytest.fixture(autouse=True)
def as_in_a_worker() -> Iterator[None]:
    """Odd values are what it is about: pydicom takes them as they are, as in a worker."""
    modes = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    config.settings.reading_validation_mode, config.settings.writing_validation_mode = modes


def done(content: bytes, *options: str, secret: bytes = SECRET, **more: Any) -> Any:
    made = deidentified(content, options_of(options).plain(), secret, **more)
    return dcmread(io.BytesIO(made["body"]))


def body(content: bytes, *options: str) -> bytes:
    return bytes(deidentified(content, options_of(options).plain(), SECRET)["body"])


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


ALMOST_ALL = tuple(name for name in NAMES if name not in ("dates", "uids", "institutions"))
NAMES_OF_PEOPLE = ("Njoroge", "Wanjiku", "Kamau", "Mutiso", "Aga Khan", "MRN-778812", "ACC9981", "0722123456")


def full(**more: Any) -> bytes:
    """An image with names in all the places where they are found in practice."""
    told: dict[str, Any] = {
        "StudyInstanceUID": STUDY, "PatientName": "Njoroge^Wanjiku", "PatientID": "MRN-778812",
        "PatientBirthDate": "19800214", "PatientTelephoneNumbers": "0722123456", "AccessionNumber": "ACC9981",
        "ReferringPhysicianName": "Kamau^Peter", "InstitutionName": "Aga Khan", "StudyDate": "20261101",
        "StudyTime": "101500", "SeriesDate": "20261101", "AcquisitionDateTime": "20261101101501.5+0300",
        "StudyDescription": "CT for Wanjiku, asked by Dr Mutiso on 3/11/2026", "PatientAge": "046Y",
        "PatientComments": "call 0722123456", "ImageComments": "seen with Kamau", "SeriesDescription": "Abdomen",
        "OperatorsName": "Mutiso^Ruth", "DeviceSerialNumber": "SN-555", "ProtocolName": "Njoroge abdomen",
        "RequestAttributesSequence": [item(RequestedProcedureID="ACC9981")],
        "RequestedProcedureDescription": "of Njoroge",
        "ReferencedImageSequence": [item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
                                         ReferencedSOPInstanceUID="1.2.3.4.5")],
        "OriginalAttributesSequence": [item(ModifiedAttributesSequence=[item(PatientName="Njoroge^Wanjiku")])],
    } | more  # fmt: skip
    dataset = dcmread(io.BytesIO(image(np.arange(64, dtype=np.uint16).reshape(8, 8), **told)))
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x50, "LO", "Njoroge private")
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60003000, "OW", b"Njoroge\0")
    buffer = io.BytesIO()
    dataset.preamble = b"Njoroge".ljust(128, b"\0")
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("shift",),
        ("dates", "descriptors"),
        tuple(name for name in NAMES if name not in ("dates", "uids", "institutions")),
    ],
)
def test_no_name_is_anywhere_in_the_bytes(options: tuple[str, ...]) -> None:
    found = body(full(), *options).lower()
    assert [name for name in NAMES_OF_PEOPLE if name.lower().encode() in found] == []
    assert STUDY.encode() not in found
    assert b"1.2.3.4.5" not in found


def test_every_file_of_pydicom_loses_its_names() -> None:
    seen = 0
    for path in (*sorted(HERE.glob("*.dcm")), *sorted(MORE.glob("*.dcm"))):
        if path.stat().st_size > 1_500_000:
            continue
        try:
            before = dcmread(path)
            after = body(path.read_bytes(), "descriptors", "graphics")
        except (PixelFailure, AttributeError, ValueError, OSError, UserWarning, KeyError, EOFError, TypeError):
            continue  # no object of a study, a document, or not to be read
        except Exception as error:
            if "File Meta" in str(error) or "DICM" in str(error):
                continue
            raise
        kept = dcmread(io.BytesIO(after))
        words = {part for value in identifying(before, Options()) for part in re.split(r"[\^=]", value)}
        for element in walk(kept):
            if element.VR in ("PN", "LO", "LT", "ST", "UT", "SH") and element.tag.group not in (0x0012,):
                for word in words:
                    assert (
                        len(word) < 4
                        or word.lower() in ("anonymous", "patient")
                        or word.lower() not in str(element.value).lower()
                    ), (path.name, element.keyword, word)
        seen += 1
    assert seen > 50


def test_references_of_two_objects_stay_consistent() -> None:
    first, second = full(), full()
    uid = dcmread(io.BytesIO(first)).SOPInstanceUID
    dataset = dcmread(io.BytesIO(second))
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = uid
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    one, two = done(first), done(buffer.getvalue())
    assert two.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID == Key(SECRET).uid(uid)
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.PatientID == two.PatientID
    assert re.fullmatch(r"2\.25\.\d{1,39}", one.SOPInstanceUID)
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert one.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


def test_another_key_and_another_project_give_other_pseudonyms() -> None:
    key = Key(SECRET)
    uids = {key.uid("1.2.3"), Key(b"t" * 32).uid("1.2.3"), key.derived("a").uid("1.2.3"), key.derived("b").uid("1.2.3")}
    assert len(uids) == 4
    assert key.derived("a").uid("1.2.3") == key.derived("a").uid("1.2.3")


def test_dates_move_by_the_same_days_for_a_patient_and_times_stay() -> None:
    one, other = done(full(), "shift"), done(full(StudyDate="20261111"), "shift")
    first, second = (date.fromisoformat(each.StudyDate) for each in (one, other))
    assert (second - first).days == 10
    assert first.year < 2026 or first.month < 11
    assert one.AcquisitionDateTime.endswith("101501.5+0300")
    assert one.StudyTime == "101500"
    assert one.LongitudinalTemporalInformationModified == "MODIFIED"
    assert not one.get("PatientBirthDate")
    assert moved("2026", -40) == "2025"
    assert moved("rubbish", -40) == ""


def test_without_options_no_date_is_left() -> None:
    made = done(full())
    assert not made.get("StudyDate")
    assert made.LongitudinalTemporalInformationModified == "REMOVED"
    for element in walk(made):
        if element.VR in ("DA", "DT"):
            assert str(element.value or "") in ("", "19000101", "19000101000000"), element


def test_descriptors_are_kept_where_they_are_clean() -> None:
    made = done(full(), "descriptors")
    assert made.SeriesDescription == "Abdomen"
    assert "CT for" in made.StudyDescription
    assert "Mutiso" not in made.StudyDescription
    assert "2026" not in made.StudyDescription
    assert "SeriesDescription" not in done(full())


def test_devices_institutions_and_characteristics_stay_when_asked_for() -> None:
    assert done(full(), "devices").DeviceSerialNumber == "SN-555"
    assert done(full(), "institutions").InstitutionName == "Aga Khan"
    assert done(full(PatientAge="093Y"), "characteristics").PatientAge == "090Y"
    assert "DeviceSerialNumber" not in done(full()) or done(full()).DeviceSerialNumber != "SN-555"


def test_private_attributes_go_but_for_those_that_are_safe() -> None:
    assert not [element for element in walk(done(full())) if element.tag.is_private]
    kept = [element for element in walk(done(full(), "private")) if element.tag.is_private]
    assert [str(element.value) for element in kept] == ["SIEMENS MR HEADER", "1000"]


def test_what_was_done_is_written_into_the_object() -> None:
    made = done(full(), "shift", "pixels")
    assert made.PatientIdentityRemoved == "YES"
    values = [each.CodeValue for each in made.DeidentificationMethodCodeSequence]
    assert values == ["113100", "113101", "113107"]


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 100", "Müller^Jürgen"), ("ISO_IR 144", "Люкceмбypг^Pоза"), ("ISO_IR 192", "王^小东"),
     ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ")],
)  # fmt: skip
def test_names_in_other_scripts_go_too(charset: str, name: str) -> None:
    whole = f"{name}"
    content = full(SpecificCharacterSet=charset, PatientName=whole, ImageComments=f"x {whole.split('^')[0]} y")
    made = done(content)
    text = " ".join(str(element.value) for element in walk(made) if element.VR != "OW")
    family = name.split("^")[0]
    assert family not in text or len(family) < 3
    encoding = {"ISO_IR 100": "latin-1", "ISO_IR 144": "iso8859-5", "ISO_IR 192": "utf-8", "ISO_IR 13": "shift_jis"}
    assert name.encode(encoding[charset]) not in body(content)


def test_a_structured_report_keeps_codes_and_numbers_and_loses_texts() -> None:
    source = dcmread(io.BytesIO(full()))
    for keyword in ("StudyID", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientSex"):
        if keyword not in source:
            setattr(source, keyword, "")
    observer = sr.ObserverContext(
        codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(name="Mutiso^Ruth", organization_name="Aga Khan")
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(uid=generate_uid(), identifier="lesion of Njoroge"),
        measurements=[sr.Measurement(codes.SCT.Length, 42.5, codes.UCUM.Millimeter)],
    )
    content = sr.MeasurementReport(sr.ObservationContext(observer), codes.LN.CTUnspecifiedBodyRegion, [group])
    report = sr.Comprehensive3DSR([source], content, generate_uid(), 2, generate_uid(), 1, manufacturer="x")
    finding = hd.sr.CodedConcept("121071", "DCM", "Finding")
    said = "Wanjiku Njoroge, MRN-778812, is well"
    report.ContentSequence.append(sr.TextContentItem(finding, said, sr.RelationshipTypeValues.CONTAINS))
    buffer = io.BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    made = done(buffer.getvalue(), "structured", "descriptors")
    assert any(element.keyword == "NumericValue" and float(element.value) == 42.5 for element in walk(made))
    text = body(buffer.getvalue(), "structured", "descriptors").lower()
    assert [name for name in NAMES_OF_PEOPLE if name.lower().encode() in text] == []
    assert list(done(buffer.getvalue()).ContentSequence) == []


def test_burnt_in_text_is_blackened_by_rule_by_region_and_else_refused() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(50, 200, (64, 96, 3), np.uint8)
    console = {"Modality": "US", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}
    rules = [{"if": {"Modality": "US", "Rows": 64}, "boxes": [[0, 0, 96, 10]]}]
    made = done(image(pixels, "RGB", **console), "pixels", boxes=rules).pixel_array
    assert (made[:10] == 0).all()
    assert np.array_equal(made[10:], pixels[10:])

    region = item(RegionLocationMinX0=8, RegionLocationMinY0=12, RegionLocationMaxX1=80, RegionLocationMaxY1=60)
    made = done(image(pixels, "RGB", SequenceOfUltrasoundRegions=[region], **console), "pixels")
    assert np.array_equal(made.pixel_array[12:61, 8:81], pixels[12:61, 8:81])
    assert made.pixel_array.sum() == pixels[12:61, 8:81].sum()
    assert made.BurnedInAnnotation == "NO"

    with pytest.raises(PixelFailure, match="no rule says where"):
        done(image(pixels, "RGB", **console), "pixels")
    with pytest.raises(PixelFailure, match="ask for the option pixels"):
        done(image(pixels, "RGB", BurnedInAnnotation="YES", **console))


def test_comments_within_compressed_frames_go() -> None:
    import imagecodecs

    frame = imagecodecs.jpeg8_encode(np.full((16, 16), 90, np.uint8))
    spoken = frame[:2] + b"\xff\xfe\x00\x0fNjoroge MRN\0\0" + frame[2:]
    dataset = dcmread(io.BytesIO(full(Rows=16, Columns=16, BitsAllocated=8, BitsStored=8, HighBit=7)))
    dataset.PixelData = encapsulate([spoken])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert b"Njoroge MRN" in buffer.getvalue()
    made = done(buffer.getvalue())
    assert b"Njoroge" not in body(buffer.getvalue())
    assert next(generate_frames(made.PixelData, number_of_frames=1)).rstrip(b"\0") == frame.rstrip(b"\0")


def test_documents_and_films_are_not_de_identified() -> None:
    document = dcmread(io.BytesIO(full()))
    del document.PixelData
    document.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    document.EncapsulatedDocument = b"%PDF-1.7 Njoroge"
    buffer = io.BytesIO()
    document.save_as(buffer)
    with pytest.raises(PixelFailure, match="documents are not de-identified"):
        done(buffer.getvalue())


def test_the_table_is_whole() -> None:
    assert rule_of(0x00100010).basic == "empty"  # type: ignore[union-attr]
    assert rule_of(0x00080018).basic == "uid"  # type: ignore[union-attr]
    assert rule_of(0x50001234).basic == "remove"  # type: ignore[union-attr]
    assert rule_of(0x60023000).basic == "remove"  # type: ignore[union-attr]
    assert rule_of(0x00280010) is None


@pytest.mark.parametrize("wrong", [["everything"], ["dates", "shift"]])
def test_options_that_are_none_are_named(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match=r"no option|either kept"):
        options_of(wrong)


def test_unknown_and_undecoded_attributes_go() -> None:
    dataset = dcmread(io.BytesIO(full()))
    dataset.add(DataElement(0x00091001, "LO", "Njoroge"))
    dataset.add(DataElement(0x00201234, "UN", b"Njoroge"))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert b"Njoroge" not in body(buffer.getvalue(), "private")
