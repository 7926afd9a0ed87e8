"""docs/viewer.md, docs/deidentification.md and docs/imaging_ai.md are held to the code."""

import json
import re
import tomllib
from pathlib import Path

from fhir_imaging_ai.models.loading import found
from fhir_imaging_ai.settings import ImagingAiSettings

from dicomweb.deidentify.options import NAMES
from dicomweb.settings import DicomSettings
from dicomweb.viewer.install import VERSION
from dicomweb.viewer.settings import ViewerSettings

DOCS = Path(__file__).parents[3] / "docs"
DATA = Path(__file__).parents[3] / "dicomweb" / "deidentify" / "confidentiality.json"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def configurations(text: str) -> list[dict[str, dict[str, dict[str, object]]]]:
    return [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]


def test_every_option_of_de_identification_is_told() -> None:
    text = page("deidentification.md")
    told = {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert set(NAMES) <= told
    assert f"{len(json.loads(DATA.read_text())['attributes'])}\nattributes" in text
    for each in configurations(text):
        DicomSettings.model_validate(each["plugins"]["dicomweb"])


def test_the_viewer_has_the_version_and_the_settings_that_are_told() -> None:
    text = page("viewer.md")
    assert f"OHIF](https://ohif.org) {VERSION}" in text
    assert all(f"`{name}`" in text for name in ViewerSettings.model_fields)


def test_imaging_ai_has_the_settings_that_are_told_and_its_card() -> None:
    text = page("imaging_ai.md")
    assert all(f"`{name}`" in text for name in ImagingAiSettings.model_fields)
    for each in configurations(text):
        chosen = ImagingAiSettings.model_validate(each["plugins"]["fhir_imaging_ai"])
        card = found(chosen.models[0], "", ()).card
    assert f"{card['figures']['auroc']['value']:.3f}" in page("ai/models/synthetic-nodules.md")
    assert "No clinical validity" in page("ai/models/synthetic-nodules.md")
