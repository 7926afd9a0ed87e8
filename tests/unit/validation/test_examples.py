"""What others published is accepted: HL7's examples, but for those that break R4, and every Synthea resource."""

import bz2
import zipfile
from typing import Any

import pytest

from fhir_server.model.json import decode, minify
from fhir_server.validation import structure_validator
from tests.shared_data import shared_data

# Published examples that break R4 itself, by file, with the first place and the reason.
FAULTY = {
    # Two drafts of the core guide lack name and status; and one id in them has 65 characters.
    "ImplementationGuide-fhir.json": "ImplementationGuide.name",
    "ig-r4.json": "ImplementationGuide.name",
    # Items have no linkId.
    "Questionnaire-qs1.json": "Questionnaire.item[0].item[0].linkId",
    # References to types that R4 does not allow there: DeviceDefinition for Device, Procedure as a reason,
    # Practitioner for Organization, Encounter as performer.
    "DeviceMetric-example.json": "DeviceMetric.parent.reference",
    "DeviceUseStatement-example.json": "DeviceUseStatement.reasonReference[0].reference",
    "MedicationRequest-medrx0301.json": "MedicationRequest.dispenseRequest.performer.reference",
    "Observation-clinical-gender.json": "Observation.performer[0].reference",
}


def test_hl7_examples_are_accepted_but_for_those_that_break_r4() -> None:
    validator = structure_validator()
    refused: dict[str, str] = {}
    count = 0
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        for name in archive.namelist():
            resource: Any = decode(archive.read(name)) if name.endswith(".json") else None
            if not isinstance(resource, dict) or "resourceType" not in resource:
                continue
            count += 1
            if found := validator.check(resource, resource["resourceType"]):
                refused[name] = found[0].expression[-1]
    assert count == 720
    assert refused == FAULTY


def refused_in_synthea(bundles: int | None) -> tuple[int, list[str]]:
    """The number of resources in some bundles, and the ids of those that are refused, alone or in their bundle."""
    validator = structure_validator()
    count, refused = 0, []
    for path in sorted(shared_data("synthea").glob("*.bz2"))[:bundles]:
        bundle = decode(minify(bz2.decompress(path.read_bytes())))
        resources = [entry["resource"] for entry in bundle["entry"]]
        refused += [path.name] if validator.check(bundle) else []
        refused += [resource["id"] for resource in resources if validator.check(resource)]
        count += len(resources)
    return count, refused


def test_synthea_resources_are_accepted() -> None:
    count, refused = refused_in_synthea(8)
    assert count > 1_000
    assert not refused


@pytest.mark.slow
def test_all_synthea_resources_are_accepted() -> None:
    assert refused_in_synthea(None) == (27_927, [])
