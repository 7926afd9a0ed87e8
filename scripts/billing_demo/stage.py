"""Stage: a server in memory that a scenario acts on as any client would, telling what it does."""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fhir_server.testing.server import TestServer

Parameter = dict[str, Any]


def ref(name: str, to: str) -> Parameter:
    """Return a parameter that is a reference."""
    return {"name": name, "valueReference": {"reference": to}}


def text(name: str, value: str) -> Parameter:
    """Return a parameter that is a string."""
    return {"name": name, "valueString": value}


def code(name: str, value: str) -> Parameter:
    """Return a parameter that is a code."""
    return {"name": name, "valueCode": value}


def money(name: str, value: float, currency: str) -> Parameter:
    """Return a parameter that is money."""
    return {"name": name, "valueMoney": {"value": value, "currency": currency}}


def share(*parts: Parameter) -> Parameter:
    """Return a share of a bill."""
    return {"name": "share", "part": list(parts)}


class Stage:
    """What a scenario does."""

    def __init__(self, server: TestServer) -> None:
        self.server, self.http = server, server.client
        clinic = {"resourceType": "Organization", "id": "clinic", "name": "The clinic"}
        assert self.http.put("/fhir/Organization/clinic", json=clinic).status_code == 201
        self._seen: set[str] = set()

    def say(self, line: str) -> None:
        """Tell."""
        print(f"  {line}")

    def title(self, line: str) -> None:
        """Begin a scenario."""
        print(f"\n{line}\n{'-' * len(line)}")

    def create(self, resource: dict[str, Any]) -> str:
        """Create a resource; return `Type/id`."""
        answer = self.http.post(f"/fhir/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        self.server.settle()
        return f"{resource['resourceType']}/{answer.json()['id']}"

    def read(self, name: str) -> dict[str, Any]:
        """Read a resource."""
        found: dict[str, Any] = self.http.get(f"/fhir/{name}").json()
        return found

    def call(self, path: str, *parameters: Parameter) -> dict[str, list[Any]]:
        """Call an operation; return its outputs by name, each a list."""
        body = {"resourceType": "Parameters", "parameter": list(parameters)}
        answer = self.http.post(f"/fhir/{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, list[Any]] = {}
        for each in answer.json().get("parameter", []):
            value = (
                each.get("resource") or each.get("part") or next(v for k, v in each.items() if k.startswith("value"))
            )
            found.setdefault(each["name"], []).append(value)
        return found

    def price(self, what: str, amount: float, currency: str, system: str = "http://demo.example/prices") -> None:
        """Put something on the price list."""
        base = {"type": "base", "amount": {"value": amount, "currency": currency}}
        self.create(
            {
                "resourceType": "ChargeItemDefinition", "url": f"http://demo.example/price/{what}", "status": "active",
                "code": {"coding": [{"system": system, "code": what}]}, "effectivePeriod": {"start": "2020-01-01"},
                "propertyGroup": [{"priceComponent": [base]}],
            }
        )  # fmt: skip

    def did(self, patient: str, what: str, system: str = "http://demo.example/prices", day: str = "2025-06-15") -> str:
        """Record that something was done; it is charged by itself."""
        coding = {"coding": [{"system": system, "code": what}]}
        return self.create(
            self.server.build(
                "Procedure", status="completed", subject={"reference": patient}, performedDateTime=day, code=coding
            )
        )

    def today(self) -> str:
        """Return the day."""
        return datetime.now(UTC).date().isoformat()

    def reconcile(self, source: str, format_: str, data: str) -> dict[str, list[Any]]:
        """Send a statement."""
        file = {"name": "file", "valueBase64Binary": base64.b64encode(data.encode()).decode()}
        return self.call("PaymentReconciliation/$reconcile", code("source", source), code("format", format_), file)

    def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something is true."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def books(self) -> None:
        """Print what is new in the ledger since the last time, and that it is in order."""
        found, seen = self.call("Invoice/$ledger", text("lines", "all")), frozenset(self._seen)
        print("\n  The ledger")
        for line in found.get("line", []):
            row = {part["name"]: next(v for k, v in part.items() if k != "name") for part in line}
            if row["entry"] not in seen:
                self._seen.add(row["entry"])
                amount = row["amount"]
                print(
                    f"    {row['kind']:<13}{_short(row['account']):<58}{amount['value']:>14,.2f} {amount['currency']}"
                )
        print(f"  {found['entries'][0]} entries; every currency sums to zero: {found['in-order'][0]}\n")
        assert found["in-order"] == [True]


def _short(account: str) -> str:
    return "/".join(part if len(part) < 24 else f"{part[:18]}.." for part in account.split("/"))
