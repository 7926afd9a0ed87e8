"""Small DICOM objects for tests."""

from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

SYSTEM = "urn:hosp"


def ct(
    patient: str = "P1", study: str = "1.2.3", series: str = "1", number: int = 1, side: int = 16, **more: object
) -> Dataset:
    """Return a CT slice; `series` and `number` go into its UIDs."""
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = more.pop("transfer", ExplicitVRLittleEndian)
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, UID(f"{study}.{series}.{number}")
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.file_meta.ImplementationClassUID = "1.2.3.4"
    found.StudyDate, found.StudyTime = "20260301", "101500"
    found.AccessionNumber, found.Modality = "A1", "CT"
    found.StudyDescription, found.SeriesDescription = "Chest", "Axial"
    found.PatientName, found.PatientID, found.IssuerOfPatientID = "Lovelace^Ada", patient, "HOSP"
    found.PatientBirthDate, found.PatientSex = "18151210", "F"
    found.StudyInstanceUID, found.SeriesInstanceUID = study, f"{study}.{series}"
    found.StudyID, found.SeriesNumber, found.InstanceNumber = "S", series, number
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.Rows = found.Columns = side
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation = 15, 0
    found.PixelData = bytes((each * number) % 251 for each in range(side * side * 2))
    for name, value in more.items():
        setattr(found, name, value)
    return found


def raw(found: Dataset) -> bytes:
    """Return an object as a file."""
    out = BytesIO()
    found.save_as(out, enforce_file_format=True)
    return out.getvalue()


def write(folder: Path, objects: list[Dataset]) -> list[Path]:
    """Write objects as files."""
    paths = []
    for each in objects:
        paths.append(folder / f"{each.SOPInstanceUID}.dcm")
        paths[-1].write_bytes(raw(each))
    return paths


__all__ = ["SYSTEM", "ct", "generate_uid", "raw", "write"]
