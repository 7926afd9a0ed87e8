"""Kenya: the Social Health Authority pays its tariff after a look at the claim, the patient the rest by M-Pesa."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripts.billing_demo import insurers
from scripts.billing_demo.fakes import Mpesa, serving
from scripts.billing_demo.stage import Stage, code, ref, share, text

_MPESA, _SHA = Mpesa(), insurers.Sha()


@contextmanager
def fakes() -> Iterator[dict[str, Any]]:
    """Run M-Pesa and SHA; give the settings of billing."""
    with serving(_MPESA) as mpesa, insurers.serving(_SHA) as sha:
        where = {"currencies": ["KES"], "countries": ["KE"], "webhook_secrets": ["demo"]}
        daraja = {"kind": "mpesa", "url": mpesa, "key": "demo", "secret": "demo", "account": "174379"}
        payer = {"kind": "sha", "identifiers": ["KE-SHA"], "url": sha, "token_url": f"{sha}/token", "inside": True}
        yield {
            "processors": {"mpesa": {**daraja, **where}},
            "payers": {"sha": payer}, "payer_first_pause": 1, "payer_longest_pause": 1,
        }  # fmt: skip


def run(stage: Stage) -> None:
    """Play it."""
    stage.title("Kenya: SHA and M-Pesa")
    patient = stage.create(stage.server.patient(name=[{"family": "Wanjiru", "given": ["Grace"]}]))
    sha = stage.create(
        {"resourceType": "Organization", "name": "Social Health Authority", "identifier": [{"value": "KE-SHA"}]}
    )
    coverage = stage.create(
        {
            "resourceType": "Coverage", "status": "active", "beneficiary": {"reference": patient},
            "payor": [{"reference": sha}], "period": {"start": "2025-10-01"}, "subscriberId": "SHA-123",
        }
    )  # fmt: skip
    stage.price("SHA-MAT-CS", 45_000, "KES")
    stage.did(patient, "SHA-MAT-CS", day=stage.today())
    stage.say("a caesarean section is charged: KES 45,000")
    parts = ref("party", sha), code("kind", "claim"), ref("coverage", coverage)
    claim = stage.call("Invoice/$invoice", ref("patient", patient), share(*parts))["claim"][0]
    refused = _submit(stage, claim)
    stage.until(lambda: stage.read(refused)["outcome"] == "error")
    stage.say(f"the claim is not sent as it is: {stage.read(refused)['error'][0]['code']['text']}")
    answer = _submit(stage, _completed(stage, claim))
    stage.until(lambda: _SHA.looks > 0)
    stage.say(f"corrected and sent: {stage.read(answer)['outcome']}, {stage.read(answer)['disposition']}")
    stage.until(lambda: _followed(stage, answer))
    stage.say(f"SHA was asked again and has decided: {stage.read(answer)['disposition']}")
    corrected = stage.read(answer)["request"]["reference"]
    invoice = stage.call("Invoice/$invoice", ref("claim", corrected))["invoice"][0]
    stage.say(f"over the tariff, for the patient: KES {invoice['totalNet']['value']:,.2f}")
    begun = stage.call(
        f"Invoice/{invoice['id']}/$pay", code("method", "auto"), code("country", "KE"), text("phone", "254700000000")
    )
    stage.say(f"a prompt on her phone by {begun.get('redirect', ['mpesa'])[0]}: {begun['state'][0]}")
    stage.http.post("/billing/webhooks/mpesa/demo", content=_MPESA.enter_pin())
    stage.until(lambda: stage.read(f"Invoice/{invoice['id']}")["status"] == "balanced", 20)
    stage.say("M-Pesa's callback is unsigned: M-Pesa was asked, and only then it was booked")
    stage.books()


def _submit(stage: Stage, claim: dict[str, Any]) -> str:
    answer = stage.http.post("/fhir/Claim/$submit", json=claim)
    assert answer.status_code == 200, answer.text
    stage.server.settle()
    return f"ClaimResponse/{answer.json()['id']}"


def _completed(stage: Stage, claim: dict[str, Any]) -> dict[str, Any]:
    """Return a claim that takes the place of one, with what SHA's profile asks for."""
    diagnosis = {"coding": [{"system": "http://id.who.int/icd/release/11/mms", "code": "JB22"}]}
    related = {"claim": {"reference": f"Claim/{claim['id']}"}, "relationship": {"coding": [{"code": "replaces"}]}}
    found = {name: value for name, value in claim.items() if name not in ("id", "meta")}
    return found | {
        "identifier": [{"system": "urn:clinic", "value": f"{claim['id']}-2"}],
        "billablePeriod": {"start": stage.today(), "end": stage.today()},
        "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": diagnosis}],
        "item": [{**item, "category": {"coding": [{"code": "1"}]}} for item in claim["item"]],
        "related": [related],
    }


def _followed(stage: Stage, answer: str) -> bool:
    stage.call("Claim/$follow-up")
    return bool(stage.read(answer)["outcome"] == "complete")
