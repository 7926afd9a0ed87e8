"""kill -9 between the processor and the ledger: money may have moved, and nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running import start
from tests.plugins.fhir_billing.processor import FakeProcessor, wait_for

pytestmark = pytest.mark.slow

CODE = {"coding": [{"system": "http://test/codes", "code": "visit"}]}


def _config(folder: Path, url: str) -> Path:
    path = folder / "server.toml"
    path.write_text(
        f"""
[plugins.fhir_billing]
currency = "NGN"
ask_after = 0.2
ask_longest = 0.5
poll = 1
[plugins.fhir_billing.processors.paystack]
kind = "paystack"
url = "{url}"
key = "sk"
webhook_secrets = ["whsec"]
"""
    )
    return path


def _call(http: httpx.Client, path: str, *parts: dict[str, Any], key: str = "") -> httpx.Response:
    headers = {"idempotency-key": key} if key else {}
    body = {"resourceType": "Parameters", "parameter": list(parts)}
    return http.post(path, json=body, headers=headers, timeout=30)


def _values(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    parts = answer.json().get("parameter", [])
    return {each["name"]: next(v for k, v in each.items() if k != "name") for each in parts}


def _filled(base: str) -> tuple[str, str]:
    with httpx.Client(base_url=base) as http:
        who = http.post("/Patient", json={"resourceType": "Patient", "name": [{"family": "A"}]}).json()["id"]
        base_price = {"type": "base", "amount": {"value": 900, "currency": "NGN"}}
        definition = {
            "resourceType": "ChargeItemDefinition", "url": "http://test/p", "status": "active", "code": CODE,
            "effectivePeriod": {"start": "2020-01-01"}, "propertyGroup": [{"priceComponent": [base_price]}],
        }  # fmt: skip
        assert http.post("/ChargeItemDefinition", json=definition).status_code == 201
        item = {
            "resourceType": "ChargeItem", "status": "planned", "code": CODE, "subject": {"reference": f"Patient/{who}"},
            "occurrenceDateTime": "2025-06-15",
        }  # fmt: skip
        assert http.post("/ChargeItem", json=item).status_code == 201
        patient = {"name": "patient", "valueReference": {"reference": f"Patient/{who}"}}
        made = wait_for(lambda: (a := _call(http, "/Invoice/$invoice", patient)).status_code == 200 and a, 20)
        return who, str(_values(made)["invoice"]["id"])


def test_a_server_killed_while_a_processor_is_asked_learns_what_happened(tmp_path: Path) -> None:
    with FakeProcessor.serving() as processor:
        flags = ("--config", str(_config(tmp_path, processor.url)))
        running = start(tmp_path / "data", *flags)
        who, invoice = _filled(running.base)
        method = {"name": "method", "valueCode": "paystack"}
        processor.fail = "kill"
        processor.killed = running.kill
        with httpx.Client(base_url=running.base) as http, pytest.raises(httpx.TransportError):
            _call(http, f"/Invoice/{invoice}/$pay", method, key="once")
        (reference,) = processor.transactions
        processor.fail = ""
        processor.pay(reference)
        running = start(tmp_path / "data", *flags)
        try:
            with httpx.Client(base_url=running.base) as http:
                again = _values(_call(http, f"/Invoice/{invoice}/$pay", method, key="once"))
                assert again["payment"] == reference
                wait_for(lambda: http.get(f"/Invoice/{invoice}").json()["status"] == "balanced", 20)
                books = http.get("/Invoice/$ledger").json()
                assert books["parameter"][0] == {"name": "in-order", "valueBoolean": True}, json.dumps(books)
                found = http.get(f"/PaymentNotice?request=Invoice/{invoice}&_total=accurate").json()
                assert found["total"] == 1
            assert len(processor.transactions) == 1
        finally:
            running.stop()
        assert who
