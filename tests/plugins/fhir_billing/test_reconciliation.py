"""Statements against the books: each line counts once, what nobody knows waits, exchange is realized."""

import base64
from typing import Any

import pytest
from fhir_billing.reconciliation.formats import read

from fhir_server.plugin_api import FhirError
from fhir_server.testing.server import TestServer
from tests.plugins.fhir_billing.conftest import (
    balances,
    call,
    created,
    done,
    invoiced,
    money,
    patient,
    pay,
    price,
    ref,
    text,
    trial,
)
from tests.plugins.fhir_billing.processor import FakeProcessor
from tests.plugins.fhir_billing.test_webhooks import is_in, owed, state

HEAD = "id,kind,reference,amount,fee,currency,date,text,settled,settled_currency\n"


def reconcile(server: TestServer, rows: str, source: str = "paystack", head: str = HEAD, **more: Any) -> dict[str, Any]:
    """Send a statement."""
    data = {"name": "file", "valueBase64Binary": base64.b64encode((head + rows).encode()).decode()}
    format_ = text("format", more.pop("format", "plain"), "Code")
    return call(server, "/fhir/PaymentReconciliation/$reconcile", text("source", source, "Code"), format_, data, **more)


def paid(server: TestServer, processor: FakeProcessor, amount: str, *parts: dict[str, Any]) -> tuple[str, str, str]:
    """Return patient, invoice and a payment that succeeded."""
    who, invoice = invoiced(server, amount)
    payment = pay(server, invoice, "paystack", *parts)["payment"]
    processor.pay(payment)
    processor.tell(payment)
    is_in(server, payment, "succeeded")
    return who, invoice, payment


def test_a_settlement_goes_to_the_bank_less_its_fee_and_only_once(server: TestServer, processor: FakeProcessor) -> None:
    _, _, payment = paid(server, processor, "1000")
    before = balances(server, "bank").get("bank/main", 0)
    row = f"s1,payment,{payment},1000,15,NGN,2026-01-02,,,\ns2,fee,,20,,NGN,2026-01-02,monthly,,\n"
    found = reconcile(server, row)
    assert (found["lines"], found["matched"], found["unmatched"]) == (2, 2, 0)
    assert found["reconciliation"]["status"] == "active"
    assert state(server, payment) == "settled"
    again = reconcile(server, row + f"s3,payment,{payment},1000,0,NGN,2026-01-03,,,\n")
    assert (again["repeated"], again["matched"], again["unmatched"]) == (2, 0, 1)
    assert balances(server, "bank")["bank/main"] - before == 985 - 20 + 1000
    assert balances(server, "suspense")["suspense/paystack"] == -1000
    trial(server)


def test_what_nobody_knows_waits_with_suggestions_until_somebody_says_what_it_is(server: TestServer) -> None:
    who, invoice = invoiced(server, "4321")
    reconcile(server, "b1,payment,no idea,4321,,NGN,2026-01-02,A. Payer,,\n", source="bank")
    waiting = call(server, "/fhir/PaymentReconciliation/$reconcile")
    rows = waiting["waiting"] if isinstance(waiting["waiting"][0], list) else [waiting["waiting"]]
    row = next(each for each in rows if each[0]["valueString"] == "bank|b1")
    assert any(invoice in part.get("valueString", "") for part in row if part["name"] == "suggestion")
    ask = (text("line", "bank|b1"), ref("invoice", f"Invoice/{invoice}"))
    assert call(server, "/fhir/PaymentReconciliation/$reconcile", *ask)["payment"]
    call(server, "/fhir/PaymentReconciliation/$reconcile", *ask, status=409)
    assert owed(server, who) == 0
    assert server.client.get(f"/fhir/Invoice/{invoice}").json()["status"] == "balanced"
    assert "suspense/bank" not in balances(server, "suspense")
    trial(server)


def test_a_bank_transfer_is_there_when_the_statement_says_so(server: TestServer) -> None:
    who, invoice = invoiced(server, "900")
    payment = pay(server, invoice, "bank")
    assert (payment["state"], owed(server, who)) == ("pending", 900)
    found = reconcile(server, f"t1,{payment['payment']},900,NGN,2026-01-02,transfer\n", source="bank", format="bank",
                      head="id,reference,amount,currency,date,text\n")  # fmt: skip
    assert (found["confirmed"], found["matched"]) == (1, 1)
    assert (state(server, payment["payment"]), owed(server, who)) == ("settled", 0)
    trial(server)


def test_what_the_exchange_differs_by_at_settlement_is_realized(server: TestServer, processor: FakeProcessor) -> None:
    rate = (text("base", "USD", "Code"), text("quote", "NGN", "Code"), {"name": "rate", "valueDecimal": 1500},
            text("source", "CBN"))  # fmt: skip
    call(server, "/fhir/Invoice/$exchange-rate", *rate)
    _, _, payment = paid(server, processor, "150000", money("amount", 100, "USD"))
    reconcile(server, f"x1,payment,{payment},100,0,USD,2026-01-02,,151000,NGN\n")
    assert balances(server, "fx") == {"fx/realized": -1000}
    assert balances(server, "exchange") == {}
    trial(server)


def test_a_chargeback_makes_the_payer_owe_again(server: TestServer, processor: FakeProcessor) -> None:
    who, _, payment = paid(server, processor, "1000")
    reconcile(server, f"c1,payment,{payment},1000,,NGN,2026-01-02,,,\n")
    reconcile(server, f"c2,chargeback,{payment},1000,,NGN,2026-02-02,,,\n")
    assert (state(server, payment), owed(server, who)) == ("disputed", 1000)
    trial(server)


def test_a_transfer_of_a_payer_that_names_its_claim_settles_it(server: TestServer) -> None:
    insurer = created(server, server.build("Organization", name="Insurer"))
    price(server, "insured", "500")
    who = patient(server)
    payor = {"beneficiary": {"reference": who}, "payor": [{"reference": insurer}]}
    coverage = created(server, {"resourceType": "Coverage", "status": "active", **payor})
    done(server, who, "insured")
    parts = [ref("party", insurer), ref("coverage", coverage), text("kind", "claim", "Code")]
    bill = call(server, "/fhir/Invoice/$invoice", ref("patient", who), {"name": "share", "part": parts})
    claim = bill["claim"]["id"]
    found = reconcile(server, f"p1,payment,{claim},300,,NGN,2026-01-02,,,\n", source="bank")
    assert (found["matched"], found["unmatched"]) == (1, 0)
    party = insurer.replace("/", ".")
    assert balances(server, f"receivable/{party}") == {f"receivable/{party}/{claim}": 200}
    too_much = reconcile(server, f"p2,payment,{claim},300,,NGN,2026-01-03,,,\n", source="bank")
    assert too_much["unmatched"] == 1
    trial(server)


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        ("nothing", b""), ("plain", b"\xff\xfe\x00"), ("plain", b"id,amount\n1,2\n"),
        ("plain", HEAD.encode() + b"a,payment,x,1.005,,NGN,2026-01-01,,,\n"),
        ("plain", HEAD.encode() + b"a,payment,x,one,,NGN,2026-01-01,,,\n"),
        ("plain", HEAD.encode() + b"a,payment,x,1,,ZZZ,2026-01-01,,,\n"),
        ("plain", HEAD.encode() + b",payment,x,1,,NGN,2026-01-01,,,\n"),
        ("plain", HEAD.encode() + b"a,payment,x,NaN,,NGN,2026-01-01,,,\n"),
    ],
)  # fmt: skip
def test_a_file_with_one_bad_line_is_refused_as_a_whole(format_: str, data: bytes) -> None:
    with pytest.raises(FhirError):
        list(read(format_, data))


def test_mobile_money_statements_are_read() -> None:
    head = "Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance,Other Party Info,A/C No.\n"
    rows = (
        'RKT1,2026-01-02 10:00:00,Pay Bill,Completed,"1,500.00",,1,254700000000 - X,abcdef123456\n'
        "RKT2,2026-01-02 10:01:00,Charge,Completed,,20.00,1,,\nRKT3,2026-01-02 10:02:00,Pay Bill,Failed,5.00,,1,,\n"
    )
    (line,) = read("mpesa", (head + rows).encode())
    assert (line.id, str(line.amount), line.references[0]) == ("RKT1", "1500.00 KES", "abcdef123456")
