"""The same on the engine in memory, as in the tests of other plugins."""

from typing import Any

from tests.plugins.fhir_match.conftest import patient
from tests.plugins.fhir_match.test_merge import asked, observation


def test_match_merge_and_undo(fhir_server_app: Any) -> None:
    ask = fhir_server_app.client
    source, target = (ask.post("/fhir/Patient", json=patient(name_)).json()["id"] for name_ in ("Meier", "Meyer"))
    weight = ask.post("/fhir/Observation", json=observation(f"Patient/{source}")).json()["id"]
    assert len(ask.post("/fhir/Patient/$match", json=patient("Meier")).json()["entry"]) == 2
    assert ask.post("/fhir/Patient/$merge", json=asked(source, target)).status_code == 200
    assert ask.get(f"/fhir/Observation/{weight}").json()["subject"]["reference"] == f"Patient/{target}"
    assert len(ask.post("/fhir/Patient/$match", json=patient("Meier")).json()["entry"]) == 1
    assert ask.post("/fhir/Patient/$unmerge", json=asked(source, target)).status_code == 200
    assert ask.get(f"/fhir/Observation/{weight}").json()["subject"]["reference"] == f"Patient/{source}"
