"""A server with billing, and small books."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.testing.server import TestServer, serving
from tests.plugins.fhir_billing.processor import FakeProcessor
from tests.plugins.only import but


@pytest.fixture(scope="module")
def processor() -> Iterator[FakeProcessor]:
    """A payment processor on a socket that speaks as Paystack does, the same for all tests of a module."""
    with FakeProcessor.serving() as started:
        yield started


@pytest.fixture(scope="module")
def server(processor: FakeProcessor) -> Iterator[TestServer]:
    """A server in memory, the same for all tests of a module."""
    paystack = {"kind": "paystack", "url": processor.url, "key": "sk_test", "webhook_secrets": ["whsec", "next"]}
    processors = {
        "paystack": {**paystack, "currencies": ["NGN", "USD"], "countries": ["NG"]},
        "elsewhere": {**paystack, "tenants": ["other"]},
        "dead": {**paystack, "url": "http://127.0.0.1:9", "currencies": ["NGN"], "countries": ["GH"]},
    }
    settings = {"currency": "NGN", "processors": processors, "ask_after": 10, "cash_units": {"CHF": Decimal("0.05")}}
    with serving(plugins={"fhir_billing": settings}, plugins_disabled=but("fhir_billing")) as started:
        processor.client = started.client
        yield started


def patient(server: TestServer, **more: Any) -> str:
    """Create a patient; return `Patient/id`."""
    return created(server, server.patient(**more))


def created(server: TestServer, resource: dict[str, Any]) -> str:
    """Create a resource; return `Type/id`."""
    answer = server.client.post(f"/fhir/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{answer.json()['id']}"


def price(
    server: TestServer, code: str, amount: str, currency: str = "NGN", groups: list[Any] | None = None, **more: Any
) -> str:
    """Create a price list entry."""
    base = {"priceComponent": [{"type": "base", "amount": {"value": Decimal(amount), "currency": currency}}]}
    return created(
        server,
        encoded(
            {
                "resourceType": "ChargeItemDefinition", "url": f"http://test/prices/{code}", "status": "active",
                "code": {"coding": [{"system": "http://test/codes", "code": code}]},
                "effectivePeriod": {"start": "2020-01-01"}, "propertyGroup": [base, *(groups or [])], **more,
            }
        ),
    )  # fmt: skip


def encoded(value: Any) -> Any:
    """Return JSON whose decimals httpx can send."""
    if isinstance(value, dict):
        return {key: encoded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [encoded(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


def done(server: TestServer, who: str, code: str, **more: Any) -> str:
    """Record a completed procedure, and wait until it is charged."""
    name = created(
        server,
        server.build(
            "Procedure", status="completed", subject={"reference": who}, performedDateTime="2025-06-15",
            code={"coding": [{"system": "http://test/codes", "code": code}]}, **more,
        ),
    )  # fmt: skip
    server.settle()
    return name


def call(server: TestServer, path: str, *parts: dict[str, Any], status: int = 200, **headers: str) -> dict[str, Any]:
    """POST an operation with Parameters; return the outputs by name, or the outcome."""
    body = {"resourceType": "Parameters", "parameter": list(parts)}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.client.post(path, json=body, headers=sent)
    assert answer.status_code == status, answer.text
    if status != 200:
        return dict(answer.json())
    return outputs(answer.json())


def outputs(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the values of Parameters by name; a list where one stands several times."""
    found: dict[str, list[Any]] = {}
    for each in parameters.get("parameter", []):
        value = each.get("resource") or each.get("part") or next(v for k, v in each.items() if k.startswith("value"))
        found.setdefault(each["name"], []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def ref(name: str, value: str) -> dict[str, Any]:
    """Return a parameter that is a reference."""
    return {"name": name, "valueReference": {"reference": value}}


def text(name: str, value: str, kind: str = "String") -> dict[str, Any]:
    """Return a parameter that is a string, or a code."""
    return {"name": name, f"value{kind}": value}


def money(name: str, value: float, currency: str = "NGN") -> dict[str, Any]:
    """Return a parameter that is money."""
    return {"name": name, "valueMoney": {"value": value, "currency": currency}}


def invoiced(server: TestServer, amount: str = "5000", currency: str = "NGN", **more: Any) -> tuple[str, str]:
    """Charge and bill a new patient; return `Patient/id` and the id of the Invoice."""
    code = f"c{next(_numbers)}"
    price(server, code, amount, currency)
    who = patient(server)
    done(server, who, code)
    return who, call(server, "/fhir/Invoice/$invoice", ref("patient", who), **more)["invoice"]["id"]


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_numbers = _count()


def pay(server: TestServer, invoice: str, method: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Call $pay."""
    return call(server, f"/fhir/Invoice/{invoice}/$pay", text("method", method, "Code"), *parts, **more)


def trial(server: TestServer) -> dict[str, Any]:
    """Return what the books come to, as $ledger tells; they have to be in order."""
    found = outputs(server.client.get("/fhir/Invoice/$ledger").json())
    assert found["in-order"] is True, found
    return found


def balances(server: TestServer, prefix: str) -> dict[str, float]:
    """Return the balances below a path, by account (and currency where it is not NGN)."""
    answer = server.client.get("/fhir/Invoice/$ledger", params={"account": prefix}).json()
    rows = outputs(answer).get("balance", [])
    rows = rows if rows and isinstance(rows[0], list) else [rows] if rows else []
    found = {}
    for row in rows:
        parts = {part["name"]: next(v for k, v in part.items() if k != "name") for part in row}
        found[parts["account"]] = parts["amount"]["value"]
    return found
