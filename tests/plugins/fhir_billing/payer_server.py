"""A payer on a socket: it pays, denies, pends, loses, repeats and delays, in FHIR and in X12."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fhir_billing.money import Money
from fhir_billing.x12.acknowledgment import acknowledge
from fhir_billing.x12.claim import Submitted, parse_837
from fhir_billing.x12.envelope import Address, Transaction, parse, wrap
from fhir_billing.x12.inquiries import (
    Asker,
    Benefit271,
    Reviewed,
    Status,
    build_271,
    build_277,
    build_278_answer,
    read_276,
    read_asker,
)
from fhir_billing.x12.remittance import Adjusted, Paid, PaidLine, Remittance, build_835
from fhir_billing.x12.segments import element, first

ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
MADE = datetime(2026, 3, 10, 12)  # noqa: DTZ001
TIMES = ("20260310", "1200")


@dataclass(slots=True)
class FakePayer:
    """What the payer does with the next calls, and what it has.

    script: of each call, the next: `pay`, `deny`, `pend`, `lose` (it takes the claim, and its answer is lost), `fail`
    (it answers 500 and takes nothing), `garble`, `refuse`; when it is at its end: what it decided.
    """

    script: list[str] = field(default_factory=list)
    claims: dict[str, str] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    inquiries: int = 0
    batches: dict[str, Submitted] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    url: str = ""

    def next(self, usual: str) -> str:
        """Return what to do now."""
        return self.script.pop(0) if self.script else usual


@contextmanager
def paying() -> Iterator[FakePayer]:
    """Run a payer."""
    payer = FakePayer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            payer.keys.append(self.headers.get("idempotency-key", ""))
            if self.path == "/token":
                self._send(200, b'{"access_token":"t","token_type":"bearer"}', "application/json")
            elif self.path == "/x12":
                self._answer(_x12(payer, body), "application/edi-x12")
            else:
                found = _fhir(payer, self.path, json.loads(body))
                status, resource = found if isinstance(found, tuple) else (0, found)
                self._answer((status, json.dumps(resource).encode()) if status else None, "application/fhir+json")

        def _answer(self, found: tuple[int, bytes] | None, media: str) -> None:
            if found is None:
                self.close_connection = True
                self.connection.close()
            else:
                self._send(*found, media)

        def _send(self, status: int, body: bytes, media: str) -> None:
            self.send_response(status)
            self.send_header("content-type", media)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    payer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield payer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _fhir(payer: FakePayer, path: str, bundle: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    payer.bodies.append(bundle)
    entry = next(
        each for each in bundle["entry"] if each["resource"]["resourceType"] in ("Claim", "CoverageEligibilityRequest")
    )
    claim = {"id": entry["fullUrl"], **entry["resource"]}
    if claim["resourceType"] == "CoverageEligibilityRequest":
        return 200, _eligible(claim)
    number = bundle["identifier"]["value"]
    if path.endswith("$inquire"):
        payer.inquiries += 1
        return _inquired(payer, number, claim)
    if claim["status"] == "cancelled":
        payer.claims[number] = "cancelled"
        return 200, {**_response(claim, "pay"), "status": "cancelled"}
    what = payer.next("pay")
    if what == "fail":
        return 500, {"resourceType": "OperationOutcome", "issue": []}
    if what == "refuse":
        issue = {
            "severity": "error",
            "code": "invalid",
            "diagnostics": "no such member",
            "expression": ["Coverage.subscriberId"],
        }
        return 422, {"resourceType": "OperationOutcome", "issue": [issue]}
    payer.taken[number] = payer.taken.get(number, 0) + (number not in payer.claims)
    payer.claims.setdefault(number, "pay" if what in ("lose", "garble", "pend") else what)
    if what == "lose":
        return None
    if what == "garble":
        return 200, {"resourceType": "Bundle", "type": "collection", "entry": []}
    return 200, {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": _response(claim, what)}]}


def _inquired(payer: FakePayer, number: str, claim: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    what = payer.next(payer.claims.get(number, "unknown"))
    if what == "fail":
        return 503, {"resourceType": "OperationOutcome", "issue": []}
    entries = [] if what == "unknown" else [{"resource": _response(claim, what)}]
    return 200, {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _response(claim: dict[str, Any], what: str) -> dict[str, Any]:
    named = f"Claim/{claim['id']}" if ":" not in claim["id"] else claim["id"]
    found = {
        "resourceType": "ClaimResponse", "identifier": [{"value": "PAYER-1"}], "status": "active",
        "type": claim["type"], "use": claim["use"], "patient": claim["patient"], "created": "2026-03-10",
        "insurer": {"display": "Payer"}, "request": {"reference": named},
        "outcome": "queued" if what == "pend" else "complete",
    }  # fmt: skip
    if what == "pend":
        return found
    found["disposition"] = "decided"
    if what == "nonsense":
        return {**found, "preAuthRef": {"not": "a string"}}
    if claim["use"] == "preauthorization":
        return {**found, "preAuthRef": "AUTH-9"}
    return {**found, "item": [_item(item, what) for item in claim["item"]]}


def _item(item: dict[str, Any], what: str) -> dict[str, Any]:
    net = Decimal(str(item["net"]["value"]))
    currency = item["net"]["currency"]
    share = Decimal("0.2") if what == "pay" else Decimal("0.5")
    copay = Decimal(0) if what == "deny" else (net * share).quantize(Decimal("0.01"))
    paid = Decimal(0) if what == "deny" else net - copay
    parts = [("benefit", paid, None), ("copay", copay, None)]
    if what == "deny":
        parts = [("noncovered", net, "50")]
    return {"itemSequence": item["sequence"], "adjudication": [_part(*part, currency) for part in parts]}


def _part(code: str, amount: Decimal, reason: str | None, currency: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "category": {"coding": [{"system": ADJUDICATION, "code": code}]},
        "amount": {"value": float(amount), "currency": currency},
    }
    if reason:
        systems = (
            ("https://x12.org/codes/claim-adjustment-reason-codes", reason),
            ("https://x12.org/codes/claim-adjustment-group-codes", "CO"),
        )
        found["reason"] = {"coding": [{"system": system, "code": value} for system, value in systems]}
    return found


def _eligible(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "CoverageEligibilityResponse", "status": "active", "purpose": request["purpose"],
        "patient": request["patient"], "created": "2026-03-10", "outcome": "complete", "insurer": {"display": "x"},
        "request": {"reference": "x"}, "insurance": [{"coverage": {"display": "x"}, "inforce": True}],
    }  # fmt: skip


ADDRESS = Address("PAYER", "CLINIC", "T")


def _x12(payer: FakePayer, raw: bytes) -> tuple[int, bytes] | None:
    payer.files.append(raw)
    [interchange] = parse(raw)
    [transaction] = interchange.transactions
    kind = transaction.kind
    if kind == "837":
        return _x12_claim(payer, raw, transaction)
    if kind == "276":
        payer.inquiries += 1
        return _x12_status(payer, transaction)
    if kind == "270":
        asker, number = read_asker(transaction)
        benefits = [Benefit271("active", plan="PART B"), Benefit271("deductible", Decimal(283))]
        return 200, wrap(ADDRESS, [build_271(asker, number, TIMES, benefits)], MADE, 5)
    asker, _ = read_asker(transaction)
    number = element(first(transaction.segments, "TRN"), 2)
    action = {"pend": "A4", "deny": "A3"}.get(payer.next("pay"), "A1")
    reviewed = Reviewed(action, "AUTH-9" if action != "A3" else "", "", date(2026, 6, 1))
    return 200, wrap(ADDRESS, [build_278_answer(reviewed, number, TIMES, asker)], MADE, 6)


def _x12_claim(payer: FakePayer, raw: bytes, transaction: Transaction) -> tuple[int, bytes] | None:
    what = payer.next("take")
    if what == "fail":
        return 502, b""
    if what == "refuse":
        [interchange] = parse(raw)
        bad = [each for each in transaction.segments if each[0] != "SBR"]
        group = interchange.groups[0]
        spoiled = replace(group, transactions=(replace(transaction, segments=tuple(bad)),))
        return 200, acknowledge(replace(interchange, groups=(spoiled,)), MADE, 7)
    batch = parse_837(transaction)
    [claim] = batch.claims
    payer.taken[claim.number] = payer.taken.get(claim.number, 0) + (claim.number not in payer.batches)
    payer.batches[claim.number] = claim
    payer.claims.setdefault(claim.number, "deny" if what == "deny" else "pay")
    if what == "lose":
        return None
    [interchange] = parse(raw)
    return 200, acknowledge(interchange, MADE, 7)


def _x12_status(payer: FakePayer, transaction: Transaction) -> tuple[int, bytes] | None:
    number, _ = read_276(transaction)
    usual = payer.claims.get(number, "unknown")
    what = payer.next(usual)
    if what == "fail":
        return 500, b""
    category = {"unknown": "A4", "pend": "P1"}.get(what, "F1")
    status = Status(number, category, "20", "" if what == "unknown" else "PAYER-1")
    asker, _ = read_asker(transaction)
    told = wrap(
        ADDRESS, [build_277([status], "S", TIMES, Asker(asker.payer, asker.provider, asker.subscriber))], MADE, 8
    )
    if category == "F1":
        told += remitted(payer.batches[number], what)
    return 200, told


def remitted(claim: Submitted, what: str = "pay") -> bytes:
    """Return the 835 for a claim: 38 of the first line is written off, 20 percent of the rest is the patient's."""
    lines = []
    for number, each in enumerate(claim.services):
        off = Decimal("38.00") if number == 0 and what == "pay" else Decimal("0.00")
        patient = ((each.charge - off) * Decimal("0.2")).quantize(Decimal("0.01"))
        reasons = [("CO", "45", off), ("PR", "2", patient)] if what == "pay" else [("CO", "50", each.charge)]
        adjusted = tuple(Adjusted(group, reason, _usd(amount)) for group, reason, amount in reasons if amount)
        paid = each.charge - sum((one.amount.amount for one in adjusted), Decimal(0))
        lines.append(
            PaidLine(
                each.code,
                each.modifiers,
                _usd(each.charge),
                _usd(paid),
                adjusted,
                None,
                each.serviced,
                str(each.number),
            )
        )
    total = sum((line.paid.amount for line in lines), Decimal("0.00"))
    owed = sum((a.amount.amount for line in lines for a in line.adjustments if a.group == "PR"), Decimal("0.00"))
    paid = Paid(
        claim.number, "1" if total else "4", _usd(claim.total), _usd(total), _usd(owed), "PAYER-1", (), tuple(lines)
    )
    found = Remittance("MEDICARE", "00430", "CLINIC", "1234567893", "EFT1", date(2026, 3, 20), _usd(total), (paid,))
    return wrap(ADDRESS, [build_835(found)], MADE, 9)


def _usd(amount: Decimal) -> Money:
    return Money(amount.quantize(Decimal("0.01")), "USD")
