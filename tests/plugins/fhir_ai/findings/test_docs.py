"""docs/ai/findings.md and docs/ai/cds.md say what is there, and their examples run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fhir_ai.cds.table import cards
from fhir_ai.findings.lab.analytes import table
from fhir_ai.findings.lab.issue import CHECKS
from fhir_ai.findings.table import rules
from fhir_ai.settings import AiSettings

from fhir_server.testing.server import TestServer

DOCS = Path(__file__).parents[4] / "docs" / "ai"
FINDINGS = (DOCS / "findings.md").read_text(encoding="utf-8")
CDS = (DOCS / "cds.md").read_text(encoding="utf-8")


def bodies(page: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in re.findall(r"-d '\n(.*?)'\n", page, re.DOTALL)]


@pytest.mark.parametrize(("page", "prefixes"), [(FINDINGS, ("lab_", "finding_")), (CDS, ("cds_",))])
def test_every_setting_stands_in_the_table(page: str, prefixes: tuple[str, ...]) -> None:
    fields = {name: each for name, each in AiSettings.model_fields.items() if name.startswith(prefixes)}
    assert fields
    for name, field in fields.items():
        assert f"| `{name}` | `{field.default}` | {field.description} |" in page


def test_numbers_of_tables_are_those_of_the_pages() -> None:
    assert f"a table of {len(rules().conditions)} conditions" in FINDINGS
    assert f"intervals of {len(table().analytes)} analytes" in FINDINGS
    assert all(f"`{check}`" in FINDINGS for check in CHECKS)
    assert {row.hook for row in cards().rows} == set(re.findall(r"`fhir-ai-([a-z-]+)` \|", CDS))


def test_the_examples_run(server: TestServer) -> None:
    for id_ in ("demo-1", "demo-6"):
        server.client.put(f"/fhir/Patient/{id_}", json={**server.patient(), "id": id_, "gender": "male"})
    for atc in ("C03AA03", "C09CA01"):
        coding = {"system": "http://www.whocc.no/atc", "code": atc}
        order = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
        order |= {"medicationCodeableConcept": {"coding": [coding]}, "subject": {"reference": "Patient/demo-6"}}  # type: ignore[dict-item]
        assert server.client.post("/fhir/MedicationRequest", json=order).status_code == 201
    differential, laboratory = bodies(FINDINGS)
    (order_sign,) = bodies(CDS)
    answer = server.client.post("/fhir/Patient/demo-1/$diagnose-support", json=differential).json()
    assert "heart-failure" in json.dumps(answer)
    answer = server.client.post("/fhir/Observation/$lab-anomaly", json=laboratory).json()
    assert "plausible in umol/L" in json.dumps(answer)
    order_sign["fhirServer"] = "http://testserver/fhir"
    (card,) = server.client.post("/cds-services/fhir-ai-order-sign", json=order_sign).json()["cards"]
    assert card["summary"].startswith("NSAID with a diuretic")
