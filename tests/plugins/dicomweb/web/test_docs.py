"""The conformance statement is what is registered."""

from pathlib import Path

from dicomweb.settings import DicomSettings
from scripts.generate_dicom import page


def test_the_conformance_statement_is_up_to_date() -> None:
    assert (Path(__file__).parents[4] / "docs" / "dicom.md").read_text() == page(), "run scripts/generate_dicom.py"


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in DicomSettings.model_fields.values())
