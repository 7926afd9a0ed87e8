"""Every official R4 example loads, comes back equal, and survives the way through XML and back."""

import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.model.json import decode, encode
from tests.conformance.http.over_http import JSON, over_asgi
from tests.shared_data import shared_data

# They break rules of R4 themselves; docs/conformance/examples.md says which.
REFUSED = {
    "ImplementationGuide/fhir", "Questionnaire/qs1", "DeviceMetric/example",
    "DeviceUseStatement/example", "MedicationRequest/medrx0301", "Observation/clinical-gender",
    "ActivityDefinition/blood-tubes-supply", "ActivityDefinition/heart-valve-replacement",
    "EventDefinition/example", "Questionnaire/zika-virus-exposure-assessment",
    "Bundle/hla-1", "Library/zika-virus-intervention-logic",
}  # fmt: skip


def _examples() -> dict[str, dict[str, Any]]:
    archive = zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip")
    found = [decode(archive.read(name), max_depth=300) for name in archive.namelist() if name.endswith(".json")]
    return {
        f"{one['resourceType']}/{one['id']}": one
        for one in found
        if "id" in one and one["resourceType"] != "Parameters"
    }


def _bare(resource: dict[str, Any]) -> dict[str, Any]:
    """Without what the server owns; decimals by their digits."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return _digits({**rest, **({"meta": meta} if meta else {})})


def _digits(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _digits(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_digits(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


@pytest.mark.slow
async def test_examples_load_and_come_back_equal_in_json_and_through_xml(tmp_path: Path) -> None:
    examples = _examples()
    assert len(examples) > 700
    refused, changed = set(), []
    async with over_asgi(tmp_path) as http:
        for name, example in examples.items():
            put = await http.put(f"/fhir/{name}", content=encode(example), headers=JSON)
            if put.status_code == 422:
                refused.add(name)
                continue
            assert put.status_code in (200, 201), (name, put.text[:500])
            accept = {"accept": "application/fhir+json"}
            if _bare(decode((await http.get(f"/fhir/{name}", headers=accept)).content)) != _bare(example):
                changed.append(name)
            xml = await http.get(f"/fhir/{name}", headers={"accept": "application/fhir+xml"})
            assert xml.status_code == 200, (name, xml.text[:500])
            headers = {"content-type": "application/fhir+xml", "accept": "application/fhir+json"}
            again = await http.put(f"/fhir/{name}", content=xml.content, headers=headers)
            assert again.status_code == 200, (name, again.text[:500])
            if _bare(decode(again.content)) != _bare(example):
                changed.append(f"{name} through XML")
    assert changed == []
    assert refused == REFUSED
