"""Studies follow their patient when two patients are found to be one."""

from fhir_server.testing.server import serving
from tests.plugins.dicomweb.web.conftest import SETTINGS, Web, slices
from tests.plugins.only import but


def test_a_merge_of_patients_moves_the_study_and_what_comes_later() -> None:
    with serving(plugins_disabled=but("dicomweb", "fhir_match"), plugins={"dicomweb": SETTINGS}) as server:
        web = Web(server)
        made = []
        for name in ("M1", "M2"):
            patient = server.patient(
                identifier=[{"system": "urn:hosp", "value": name}], name=[{"family": "Lovelace"}],
                birthDate="1815-12-10", gender="female",
            )  # fmt: skip
            made.append(f"Patient/{web.client.post('/fhir/Patient', json=patient).json()['id']}")
        web.store(*slices("1.6.20", patient="M1"))
        assert web.imaging_study("1.6.20")["subject"]["reference"] == made[0]
        named = zip(("source-patient", "target-patient"), made, strict=True)
        asked = [{"name": name, "valueReference": {"reference": each}} for name, each in named]
        answer = web.client.post("/fhir/Patient/$merge", json={"resourceType": "Parameters", "parameter": asked})
        assert answer.status_code == 200, answer.text
        assert web.imaging_study("1.6.20")["subject"]["reference"] == made[1]
        assert web.store(*slices("1.6.20", 2, patient="M1")).status_code == 200
        study = web.imaging_study("1.6.20")
        assert (study["subject"]["reference"], study["numberOfInstances"]) == (made[1], 2)
