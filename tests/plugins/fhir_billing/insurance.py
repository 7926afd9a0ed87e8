"""A patient with coverages, and claims on them."""

from typing import Any

import httpx

from fhir_server.testing.server import TestServer

MARCH_10 = 1_773_144_000_000
"""2026-03-10T12:00:00Z"""
CPT = "http://www.ama-assn.org/go/cpt"
CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
PLAN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/coverage-class", "code": "plan"}]}


class Desk:
    """Asks a server."""

    def __init__(self, server: TestServer) -> None:
        self.server, self.http = server, server.client

    def booked(self, prefix: str) -> dict[str, str]:
        """Return what accounts below a path stand at."""
        found = {}
        for each in self._ledger(account=prefix):
            if each["name"] == "balance":
                parts = {part["name"]: part for part in each["part"]}
                amount = parts["amount"]["valueMoney"]["value"]
                if amount:
                    found[parts["account"]["valueString"]] = f"{amount:.2f}"
        return found

    def in_order(self) -> bool:
        """Tell whether the books hold."""
        return next(bool(each["valueBoolean"]) for each in self._ledger() if each["name"] == "in-order")

    def _ledger(self, **query: str) -> list[dict[str, Any]]:
        answer = self.http.get("/fhir/Invoice/$ledger", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json().get("parameter", [])
        return found

    def create(self, resource: dict[str, Any]) -> str:
        """Create a resource; return its reference."""
        answer = self.http.post(f"/fhir/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"

    def read(self, reference: str) -> dict[str, Any]:
        """Read a resource."""
        answer = self.http.get(f"/fhir/{reference}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Call an operation."""
        return self.http.post(f"/fhir/{path}", json=body)

    def submit(self, claim: dict[str, Any]) -> dict[str, Any]:
        """Submit a claim; return its answer."""
        answer = self.ask("Claim/$submit", claim)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, claim: dict[str, Any], status: int = 422) -> list[tuple[str, str]]:
        """Submit a claim that is refused; return what is said, each with its place."""
        answer = self.ask("Claim/$submit", claim)
        assert answer.status_code == status, answer.text
        return [(each["diagnostics"], *each.get("expression", [""])) for each in answer.json()["issue"]]


class Insured:
    """A patient with one coverage under a plan."""

    def __init__(self, desk: Desk, plan: str = "us-ppo", currency: str = "USD", **coverage: Any) -> None:
        self.desk, self.currency = desk, currency
        payor = coverage.pop("payor_resource", {})
        self.patient = coverage.pop("patient", "") or desk.create(desk.server.patient(birthDate="1985-04-01"))
        self.payor = desk.create({"resourceType": "Organization", "name": "Payer", **payor})
        self.provider = coverage.pop("provider", "") or desk.create({"resourceType": "Organization", "name": "Clinic"})
        self.coverage = desk.create(cover(self.patient, self.payor, plan, **coverage))

    def claim(self, *items: tuple[str, str], **more: Any) -> dict[str, Any]:
        """Return a claim of items, each a code and its charge."""
        return claim(self, items, **more)


def cover(patient: str, payor: str, plan: str, **more: Any) -> dict[str, Any]:
    """Return a Coverage."""
    found = {
        "resourceType": "Coverage", "status": "active", "beneficiary": {"reference": patient},
        "payor": [{"reference": payor}], "period": {"start": "2025-01-01"}, "class": [{"type": PLAN, "value": plan}],
    }  # fmt: skip
    return {**found, **more}


def claim(
    of: Insured, items: tuple[tuple[str, str], ...], *, day: str = "2026-03-02", system: str = "", **more: Any
) -> dict[str, Any]:
    """Return a Claim; what is None is left out."""
    coding = {"system": system} if system else {}
    found = {
        "resourceType": "Claim", "status": "active", "use": "claim",
        "type": {"coding": [{"system": CLAIM_TYPE, "code": "professional"}]},
        "patient": {"reference": of.patient}, "created": "2026-03-10",
        "provider": {"reference": of.provider}, "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": of.coverage}}],
        "item": [
            {
                "sequence": number, "productOrService": {"coding": [{**coding, "code": code}]}, "servicedDate": day,
                "net": {"value": Number(amount), "currency": of.currency},
            }
            for number, (code, amount) in enumerate(items, 1)
        ],
    }  # fmt: skip
    return {name: value for name, value in (found | more).items() if value is not None}


class Number(float):
    """A number that is written with the digits it was given."""

    def __new__(cls, text: str) -> "Number":
        """Make it of text."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str

    def __repr__(self) -> str:
        """Return the text, which is what json writes."""
        return self.text


def figures(answer: dict[str, Any]) -> list[dict[str, str]]:
    """Return what each line of an answer came to: `paid`, and adjustments by group and reason."""
    return [_line(item["adjudication"]) for item in answer["item"]]


def _line(adjudications: list[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in adjudications:
        code = each["category"]["coding"][0]["code"]
        codes = [coding["code"] for coding in each.get("reason", {}).get("coding", [])]
        if code == "benefit":
            found["paid"] = f"{each['amount']['value']:.2f}"
        elif len(codes) == 2 and "amount" in each:
            found[f"{codes[1]}-{codes[0]}"] = f"{each['amount']['value']:.2f}"
    return found


def total(answer: dict[str, Any], code: str) -> float:
    """Return a total of an answer."""
    return next((each["amount"]["value"] for each in answer["total"] if _code(each) == code), 0)


def _code(each: dict[str, Any]) -> str:
    return next((coding["code"] for coding in each["category"].get("coding", [])), "")
