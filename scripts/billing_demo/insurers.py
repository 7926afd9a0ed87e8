"""Insurers on sockets of their own: just enough of Kenya's SHA and of Medicare for the example."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

from fhir_billing.money import Money
from fhir_billing.x12.acknowledgment import acknowledge
from fhir_billing.x12.claim import Submitted, parse_837
from fhir_billing.x12.envelope import Address, parse, wrap
from fhir_billing.x12.inquiries import Status, build_277, read_276, read_asker
from fhir_billing.x12.remittance import Adjusted, Paid, PaidLine, Remittance, build_835

Answer = Callable[[str, bytes], bytes]
_ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve `answer(path, body)`; give the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class Sha:
    """Takes a claim, looks at it for a while, and pays the tariff."""

    tariff: ClassVar = {"SHA-MAT-CS": 30_000, "SHA-OP-01": 900}

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, path: str, body: bytes) -> bytes:
        """Answer a request."""
        if path.endswith("/token"):
            return b'{"access_token":"demo"}'
        claim = json.loads(body)["entry"][0]["resource"]
        decided = path.endswith("$inquire")
        self.looks += 1
        found = {
            "resourceType": "ClaimResponse", "identifier": [{"value": "SHA-2026-0001"}], "status": "active",
            "type": claim["type"], "use": claim["use"], "patient": claim["patient"], "created": claim["created"],
            "insurer": {"display": "SHA"}, "request": {"reference": f"Claim/{claim['id']}"},
            "outcome": "complete" if decided else "queued", "disposition": "Approved" if decided else "In review",
        }  # fmt: skip
        if decided:
            found["item"] = [self._item(each) for each in claim["item"]]
        return json.dumps(found).encode()

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        asked = item["net"]["value"]
        paid = min(asked, self.tariff[item["productOrService"]["coding"][0]["code"]])
        return {
            "itemSequence": item["sequence"],
            "adjudication": [_amount("eligible", paid), _amount("benefit", paid), _amount("noncovered", asked - paid)],
        }


def _amount(code: str, value: float) -> dict[str, Any]:
    category = {"coding": [{"system": _ADJUDICATION, "code": code}]}
    return {"category": category, "amount": {"value": value, "currency": "KES"}}


class Medicare:
    """Takes 837s and acknowledges them; says by a 277 that a claim is paid; makes the 835."""

    def __init__(self) -> None:
        self.claims: dict[str, Submitted] = {}
        self.files: list[str] = []

    def __call__(self, path: str, body: bytes) -> bytes:
        """Answer an interchange."""
        self.files.append(body.decode())
        [interchange] = parse(body)
        now = datetime.now(UTC).replace(tzinfo=None)
        transaction = interchange.transactions[0]
        if transaction.kind == "837":
            [claim] = parse_837(transaction).claims
            self.claims[claim.number] = claim
            return acknowledge(interchange, now, 1)
        number, _ = read_276(transaction)
        asker, _ = read_asker(transaction)
        status = Status(number, "P1", "20", "MCR-1")
        times = (f"{now:%Y%m%d}", f"{now:%H%M}")
        return wrap(Address("MEDICARE", "CLINIC"), [build_277([status], "S", times, asker)], now, 2)

    def remittance(self, number: str) -> bytes:
        """Return the 835 for a claim: 92.00 of a visit is allowed, 20 percent are the patient's."""
        claim, lines = self.claims[number], []
        for each in claim.services:
            allowed = min(each.charge, Decimal("92.00"))
            patient = (allowed * Decimal("0.20")).quantize(Decimal("0.01"))
            reasons = (Adjusted("CO", "45", _usd(each.charge - allowed)), Adjusted("PR", "2", _usd(patient)))
            lines.append(
                PaidLine(
                    each.code, each.modifiers, _usd(each.charge), _usd(allowed - patient),
                    tuple(one for one in reasons if one.amount), _usd(allowed), each.serviced, str(each.number),
                )
            )  # fmt: skip
        total = sum((line.paid.amount for line in lines), Decimal(0))
        owed = sum((one.amount.amount for line in lines for one in line.adjustments if one.group == "PR"), Decimal(0))
        paid = Paid(number, "1", _usd(claim.total), _usd(total), _usd(owed), "MCR-1", (), tuple(lines))
        today = date.fromisoformat(f"{datetime.now(UTC):%Y-%m-%d}")
        found = Remittance("MEDICARE", "00430", "CLINIC", "1234567893", "EFT-77", today, _usd(total), (paid,))
        now = datetime.now(UTC).replace(tzinfo=None)
        return wrap(Address("MEDICARE", "CLINIC"), [build_835(found)], now, 3)


def _usd(amount: Decimal) -> Money:
    return Money(amount.quantize(Decimal("0.01")), "USD")
