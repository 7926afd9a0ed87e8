"""United States: a claim to Medicare as an 837, its 999, and what was paid by an 835."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripts.billing_demo import insurers
from scripts.billing_demo.stage import Stage, code, ref, share

_MEDICARE = insurers.Medicare()


@contextmanager
def fakes() -> Iterator[dict[str, Any]]:
    """Run Medicare's clearing house; give the settings of billing."""
    with insurers.serving(_MEDICARE) as url:
        payer = {"kind": "x12", "identifiers": ["00430"], "url": url, "sender": "CLINIC", "receiver": "MEDICARE"}
        yield {"payers": {"medicare": {**payer, "provider_id": "1234567893", "inside": True}}}


def run(stage: Stage) -> None:
    """Play it."""
    stage.title("United States: Medicare by X12")
    patient = stage.create(stage.server.patient(name=[{"family": "Miller", "given": ["Ada"]}], birthDate="1950-02-03"))
    medicare = stage.create({"resourceType": "Organization", "name": "Medicare", "identifier": [{"value": "00430"}]})
    coverage = stage.create(
        {
            "resourceType": "Coverage", "status": "active", "beneficiary": {"reference": patient},
            "payor": [{"reference": medicare}], "period": {"start": "2015-02-01"}, "subscriberId": "1EG4TE5MK73",
        }
    )  # fmt: skip
    stage.price("99213", 130, "USD", "http://www.ama-assn.org/go/cpt")
    stage.did(patient, "99213", "http://www.ama-assn.org/go/cpt", day=stage.today())
    parts = ref("party", medicare), code("kind", "claim"), ref("coverage", coverage)
    claim = stage.call("Invoice/$invoice", ref("patient", patient), share(*parts))["claim"][0]
    answer = stage.http.post("/fhir/Claim/$submit", json=claim)
    assert answer.status_code == 200, answer.text
    stage.server.settle()
    for segment in _MEDICARE.files[-1].split("~")[8:]:
        if segment.startswith(("NM1*85", "NM1*IL", "CLM", "SV1")):
            stage.say(f"837: {segment}")
    response = f"ClaimResponse/{answer.json()['id']}"
    stage.until(lambda: "took" in stage.read(response)["disposition"])
    stage.say(f"999: {stage.read(response)['disposition']}")
    raw = _MEDICARE.remittance(next(iter(_MEDICARE.claims))).decode()
    for segment in raw.split("~"):
        if segment.startswith(("BPR", "CLP", "SVC", "CAS")):
            stage.say(f"835: {segment}")
    settled = stage.reconcile("medicare", "835", raw)
    stage.say(f"the remittance is booked: {settled['matched'][0]} claim; {stage.read(response)['disposition']}")
    again = stage.reconcile("medicare", "835", raw)
    stage.say(f"the same file once more changes nothing: {again.get('repeated', [0])[0]} repeated")
    invoice = stage.call("Invoice/$invoice", ref("claim", f"Claim/{claim['id']}"))["invoice"][0]
    stage.say(f"the patient's coinsurance: USD {invoice['totalNet']['value']:,.2f}")
    stage.books()
