"""Statements and reports: the same figures as the books."""

import base64

from fhir_billing.money import money_of
from fhir_billing.statements.pdf import shown

from fhir_server.testing.server import TestServer
from tests.plugins.fhir_billing.conftest import call, invoiced, money, outputs, pay, text, trial


def test_a_statement_tells_what_was_billed_and_paid_and_prints_it(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "st", "Code"))["shift"]
    who, invoice = invoiced(server, "1500")
    pay(server, invoice, "cash", money("amount", 400), text("shift", shift))
    answer = server.client.get(f"/fhir/{who}/$statement", params={"pdf": "true", "locale": "en-NG"})
    found = outputs(answer.json())
    rows = [[next(v for k, v in part.items() if k != "name") for part in row] for row in found["row"]]
    assert [(row[1], row[3]["value"]) for row in rows] == [("invoice", 1500), ("payment cash", -400)]
    assert found["open"]["value"] == 1100
    assert base64.b64decode(found["pdf"]["data"]).startswith(b"%PDF-")
    assert server.client.get(f"/fhir/{who}/$statement", params={"pdf": "true", "locale": "xx"}).status_code == 400


def test_amounts_are_shown_as_the_language_has_them() -> None:
    assert shown(money_of("1500", "NGN"), "en") == "NGN 1,500.00"
    assert shown(money_of("1500.5", "KWD"), "de") == "KWD 1.500,500"
    assert shown(money_of("1500", "UGX"), "en") == "UGX 1,500"


def test_what_is_owed_is_told_by_age(server: TestServer) -> None:
    before = _owed(server)
    invoiced(server, "700")
    server.clock.go_on(45 * 86_400)
    invoiced(server, "300")
    after = _owed(server)
    assert after["0-30"] - before.get("0-30", 0) <= 300
    assert after["31-60"] >= 700
    assert sum(after.values()) - sum(before.values()) == 1000
    trial(server)


def _owed(server: TestServer) -> dict[str, float]:
    found = outputs(server.client.get("/fhir/MeasureReport/$receivables").json())
    assert found["report"]["status"] == "complete"
    rows = [line.split(",") for line in found["csv"].splitlines()]
    ages = [row for row in rows if row[:3] == ["receivable", "NGN", "Patient"]]
    return {row[3]: float(row[4]) for row in ages}
