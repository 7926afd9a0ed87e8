"""Billing: webhook events a second, from raw bytes to the booked payment; lines of a statement against the books."""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import httpx
from fhir_billing.payments import processor

from fhir_server.api.application import Application
from fhir_server.app import create_app
from fhir_server.settings import Settings

_EVENTS = 1_000
_LINES = 100_000
_AT_ONCE = 32


class _Processor:
    """Paystack's interface in this process: nobody's network is measured."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.asked += 1
        if request.url.path == "/transaction/initialize":
            return httpx.Response(200, json={"data": {"reference": json.loads(request.content)["reference"]}})
        reference = request.url.path.rsplit("/", 1)[-1]
        data = {"reference": reference, "status": "success", "amount": 10_000, "currency": "NGN", "id": 1}
        return httpx.Response(200, json={"data": data})


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure."""
    asyncio.run(_run(folder))


async def _run(folder: Path) -> None:
    processor = {"kind": "paystack", "url": "http://paystack.test", "key": "k", "webhook_secrets": ["w"]}
    plugins = {"fhir_billing": {"currency": "NGN", "processors": {"paystack": processor}}}
    app = create_app(Settings(data_dir=folder, auth="none", demo=False, plugins=plugins))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=600) as http:
            _pretend()
            payments = await _pending(http, app)
            await _webhooks(http, payments)
            await _statement(http, payments)


def _pretend() -> None:
    """Have the processor answer in this process."""
    answer, client = _Processor(), httpx.AsyncClient

    def made(*args: Any, **given: Any) -> httpx.AsyncClient:
        if str(given.get("base_url", "")).startswith("http://paystack.test"):
            given["transport"] = httpx.MockTransport(answer)
        return client(*args, **given)

    processor.httpx = type("Pretending", (), {**vars(httpx), "AsyncClient": staticmethod(made)})  # type: ignore[assignment]


async def _pending(http: httpx.AsyncClient, app: Application) -> list[str]:
    """Make payments that wait for their processor."""
    code = {"coding": [{"system": "http://bench/codes", "code": "visit"}]}
    base = {"type": "base", "amount": {"value": 100, "currency": "NGN"}}
    definition = {
        "resourceType": "ChargeItemDefinition", "url": "http://bench/p", "status": "active", "code": code,
        "effectivePeriod": {"start": "2020-01-01"}, "propertyGroup": [{"priceComponent": [base]}],
    }  # fmt: skip
    assert (await http.post("/fhir/ChargeItemDefinition", json=definition)).status_code == 201
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one() -> str:
        async with turn:
            who = (
                await http.post("/fhir/Patient", json={"resourceType": "Patient", "name": [{"family": "B"}]})
            ).json()["id"]
            item = {
                "resourceType": "ChargeItem", "status": "planned", "code": code, "occurrenceDateTime": "2025-06-15",
                "subject": {"reference": f"Patient/{who}"},
            }  # fmt: skip
            await http.post("/fhir/ChargeItem", json=item)
            return who

    people = await asyncio.gather(*[one() for _ in range(_EVENTS)])
    assert app.running is not None
    await app.running.settled("default")  # what was done is charged
    return list(await asyncio.gather(*[_begun(http, turn, who) for who in people]))


async def _begun(http: httpx.AsyncClient, turn: asyncio.Semaphore, who: str) -> str:
    async with turn:
        patient = {"name": "patient", "valueReference": {"reference": f"Patient/{who}"}}
        made = await _call(http, "Invoice/$invoice", patient)
        invoice = _of(made, "invoice")["id"]
        begun = await _call(http, f"Invoice/{invoice}/$pay", {"name": "method", "valueCode": "paystack"})
        return str(_of(begun, "payment"))


async def _call(http: httpx.AsyncClient, path: str, *parts: dict[str, Any]) -> httpx.Response:
    return await http.post(f"/fhir/{path}", json={"resourceType": "Parameters", "parameter": list(parts)})


def _of(answer: httpx.Response, name: str) -> Any:
    assert answer.status_code == 200, answer.text
    part = next(each for each in answer.json()["parameter"] if each["name"] == name)
    return next(value for key, value in part.items() if key != "name")


async def _webhooks(http: httpx.AsyncClient, payments: list[str]) -> None:
    """Send one webhook for each payment, and wait until all are booked."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def send(payment: str) -> None:
        body = json.dumps({"event": "charge.success", "data": {"id": payment, "reference": payment}}).encode()
        signature = hmac.new(b"w", body, hashlib.sha512).hexdigest()
        async with turn:
            headers = {"x-paystack-signature": signature}
            answer = await http.post("/billing/webhooks/paystack", content=body, headers=headers)
            assert answer.status_code == 200, answer.text

    began = time.perf_counter()
    await asyncio.gather(*[send(payment) for payment in payments])
    taken = time.perf_counter() - began
    while True:
        books = await http.get("/fhir/Invoice/$ledger", params={"account": "processor"})
        held = [part for each in books.json().get("parameter", []) for part in each.get("part", ())]
        if any(part.get("valueMoney", {}).get("value") == 100 * len(payments) for part in held):
            break
        await asyncio.sleep(0.05)
    whole = time.perf_counter() - began
    print(f"webhooks: {len(payments) / taken:,.0f}/s taken in, {len(payments) / whole:,.0f}/s verified and booked")


async def _statement(http: httpx.AsyncClient, payments: list[str]) -> None:
    """Send a statement of many lines, of which one in a hundred is a payment of ours, and the rest waits."""
    rows = ["id,kind,reference,amount,fee,currency,date"]
    for number in range(_LINES):
        reference = (
            payments[number // 100] if number % 100 == 0 and number // 100 < len(payments) else f"other-{number}"
        )
        rows.append(f"L{number},payment,{reference},100,1.5,NGN,2026-01-02")
    file = base64.b64encode("\n".join(rows).encode()).decode()
    began = time.perf_counter()
    parts = {"name": "source", "valueCode": "paystack"}, {"name": "file", "valueBase64Binary": file}
    answer = await _call(http, "PaymentReconciliation/$reconcile", *parts)
    took = time.perf_counter() - began
    print(f"reconciliation: {_LINES:,} lines in {took:.1f} s; {_of(answer, 'matched')} matched")
