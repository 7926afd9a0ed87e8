"""Lagos: an HMO pays most, the patient the rest: a part by Paystack, a part in cash, all in NGN."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripts.billing_demo.fakes import Paystack, serving
from scripts.billing_demo.stage import Stage, code, money, ref, share, text

_PAYSTACK = Paystack()


@contextmanager
def fakes() -> Iterator[dict[str, Any]]:
    """Run Paystack; give the settings of billing."""
    with serving(_PAYSTACK) as url:
        paystack = {"kind": "paystack", "url": url, "key": "demo", "webhook_secrets": ["demo"]}
        yield {"processors": {"paystack": {**paystack, "currencies": ["NGN"], "countries": ["NG"]}}}


def run(stage: Stage) -> None:
    """Play it."""
    stage.title("Lagos: HMO and own share, Paystack and cash")
    patient, hmo, coverage = _insured(stage)
    for what, amount in (("CONS-GP", 10_000.0), ("LAB-FBC", 6_500.0), ("MED-ACT", 4_200.5)):
        stage.price(what, amount, "NGN")
        stage.did(patient, what, day=stage.today())
    stage.say("a consultation, a test and a medicine are charged by the price list: NGN 20,700.50")
    parts = ref("party", hmo), code("kind", "claim"), ref("coverage", coverage)
    claim = stage.call("Invoice/$invoice", ref("patient", patient), share(*parts))["claim"][0]
    answer = stage.http.post("/fhir/Claim/$submit", json=claim)
    assert answer.status_code == 200, answer.text
    paid = next(each["amount"]["value"] for each in answer.json()["total"] if "benefit" in str(each["category"]))
    stage.say(f"the HMO decides on the claim by its plan: {answer.json()['outcome']}, it pays NGN {paid:,.2f}")
    invoice = stage.call("Invoice/$invoice", ref("claim", f"Claim/{claim['id']}"))["invoice"][0]
    stage.say(f"what is left to the patient: NGN {invoice['totalNet']['value']:,.2f}")
    _by_paystack(stage, invoice["id"])
    _in_cash(stage, invoice["id"])
    status = stage.read(f"Invoice/{invoice['id']}")["status"]
    stage.say(f"the invoice is {status}")
    statement = f"id,reference,amount,currency,date,text\nB1,{claim['id']},{paid},NGN,{stage.today()},HMO\n"
    settled = stage.reconcile("bank", "bank", statement)
    stage.say(f"the bank statement shows the HMO's transfer: {settled['matched'][0]} line matched")
    stage.books()


def _insured(stage: Stage) -> tuple[str, str, str]:
    patient = stage.create(stage.server.patient(name=[{"family": "Adeyemi", "given": ["Bola"]}]))
    hmo = stage.create({"resourceType": "Organization", "name": "An HMO of Lagos"})
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/coverage-class", "code": "plan"}]}
    coverage = {
        "resourceType": "Coverage", "status": "active", "beneficiary": {"reference": patient},
        "payor": [{"reference": hmo}], "period": {"start": "2026-01-01"},
        "class": [{"type": kind, "value": "ng-hmo-standard"}],
    }  # fmt: skip
    return patient, hmo, stage.create(coverage)


def _by_paystack(stage: Stage, invoice: str) -> None:
    begun = stage.call(
        f"Invoice/{invoice}/$pay", code("method", "auto"), code("country", "NG"), money("amount", 1_000, "NGN")
    )
    stage.say(f"NGN 1,000 by {begun['redirect'][0]}: {begun['state'][0]}")
    body, headers = _PAYSTACK.pays(begun["payment"][0])
    for _ in range(2):
        answer = stage.http.post("/billing/webhooks/paystack", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
    stage.until(lambda: _state(stage, begun["payment"][0]) == "succeeded")
    stage.say("Paystack told of it twice, was asked, and it is booked once")


def _state(stage: Stage, payment: str) -> str:
    return str(stage.call("Invoice/$ledger", text("payment", payment), text("account", "none"))["payment"][0])


def _in_cash(stage: Stage, invoice: str) -> None:
    shift = stage.call("PaymentReconciliation/$open-shift", code("point", "lagos-1"), money("float", 5_000, "NGN"))[
        "shift"
    ][0]
    paid = stage.call(f"Invoice/{invoice}/$pay", code("method", "cash"), text("shift", shift))
    stage.say(f"the rest in cash: NGN {paid['amount'][0]['value']:,.2f}, receipt {paid['receipt'][0]}")
    counted = 5_000 + paid["amount"][0]["value"]
    stage.call("PaymentReconciliation/$close-shift", text("shift", shift), money("counted", counted, "NGN"))
    stage.say("the shift is closed, its drawer is what the ledger says")
