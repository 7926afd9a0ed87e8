"""Payments by a processor: no webhook is believed, none counts twice, and no answer is never a guess."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server.testing.server import TestServer
from tests.plugins.fhir_billing.conftest import balances, call, invoiced, money, pay, ref, text, trial
from tests.plugins.fhir_billing.processor import FakeProcessor, wait_for


def state(server: TestServer, payment: str) -> str:
    """Return the state of a payment."""
    answer = server.client.get("/fhir/Invoice/$ledger", params={"payment": payment, "account": "none"}).json()
    return str(answer["parameter"][0]["valueCode"])


def is_in(server: TestServer, payment: str, wanted: str) -> None:
    """Wait until a payment is in a state."""
    wait_for(lambda: state(server, payment) == wanted)


def begun(server: TestServer, amount: str = "5000", **more: Any) -> tuple[str, str, str]:
    """Begin a payment; return patient, invoice and payment."""
    who, invoice = invoiced(server, amount)
    found = pay(server, invoice, "paystack", **more)
    assert (found["state"], found["redirect"]) == ("pending", f"https://checkout.example/{found['payment']}")
    return who, invoice, found["payment"]


def owed(server: TestServer, who: str) -> float:
    """Return what a patient owes."""
    return sum(balances(server, f"receivable/{who.replace('/', '.')}").values())


def test_a_payment_counts_when_the_processor_says_so_however_often_it_tells(
    server: TestServer, processor: FakeProcessor
) -> None:
    who, invoice, payment = begun(server)
    assert processor.tell(payment) == 200
    is_in(server, payment, "pending")
    assert owed(server, who) == 5000
    processor.pay(payment)
    for _ in range(3):
        assert processor.tell(payment, name="charge.success.again") == 200
    is_in(server, payment, "succeeded")
    assert owed(server, who) == 0
    assert server.client.get(f"/fhir/Invoice/{invoice}").json()["status"] == "balanced"
    notices = server.client.get(f"/fhir/PaymentNotice?request=Invoice/{invoice}").json()
    assert notices["total"] == 1
    trial(server)


@pytest.mark.parametrize("secret", ["whsec", "next"])
def test_two_secrets_are_good_at_the_same_time(server: TestServer, processor: FakeProcessor, secret: str) -> None:
    _, _, payment = begun(server)
    processor.pay(payment)
    assert processor.tell(payment, secret=secret) == 200
    is_in(server, payment, "succeeded")


def test_a_forged_webhook_is_refused_and_moves_nothing(server: TestServer, processor: FakeProcessor) -> None:
    _, _, payment = begun(server)
    body, headers = processor.event(payment)
    assert processor.tell(payment, secret="guess") == 401
    for changed, given in ((body + b" ", headers), (body, {}), (body, {"x-paystack-signature": "é"})):
        sent = {name: value.encode("latin-1") for name, value in given.items()}
        answer = server.client.post("/billing/webhooks/paystack", content=changed, headers=sent)
        assert answer.status_code == 401
    assert server.client.post("/billing/webhooks/nobody", content=body, headers=headers).status_code == 404
    assert state(server, payment) == "pending"


def test_a_webhook_that_is_signed_but_lies_moves_nothing(server: TestServer, processor: FakeProcessor) -> None:
    who, _, payment = begun(server)
    assert processor.tell(payment) == 200
    server.client.get("/fhir/metadata")
    assert state(server, payment) == "pending"
    assert owed(server, who) == 5000


def test_a_webhook_for_another_tenant_is_not_taken(server: TestServer, processor: FakeProcessor) -> None:
    _, _, payment = begun(server)
    assert processor.tell(payment, path="/billing/webhooks/elsewhere") == 404
    assert processor.tell("a-payment-of-another-tenant") == 200
    assert state(server, payment) == "pending"


def test_no_answer_is_unknown_until_the_processor_is_asked(server: TestServer, processor: FakeProcessor) -> None:
    who, invoice = invoiced(server, "700")
    processor.fail = "hang"
    try:
        found = pay(server, invoice, "paystack", Idempotency_Key="lost")
    finally:
        processor.fail = ""
    assert found["state"] == "unknown"
    assert owed(server, who) == 700
    again = pay(server, invoice, "paystack", Idempotency_Key="lost")
    assert (again["payment"], again["state"]) == (found["payment"], "unknown")
    assert processor.tell(found["payment"]) == 200
    is_in(server, found["payment"], "succeeded")
    assert owed(server, who) == 0
    trial(server)


def test_a_processor_that_is_not_there_is_followed_by_the_next(server: TestServer, processor: FakeProcessor) -> None:
    _, invoice = invoiced(server, "700")
    found = pay(server, invoice, "auto", text("country", "GH", "Code"), status=502)
    assert "nothing was paid" in found["issue"][0]["diagnostics"]
    nigeria = pay(server, invoice, "auto", text("country", "NG", "Code"))
    assert nigeria["state"] == "pending"


def test_one_who_says_no_fails_the_payment_and_another_may_be_made(
    server: TestServer, processor: FakeProcessor
) -> None:
    _, invoice = invoiced(server, "700")
    processor.fail = "400"
    try:
        pay(server, invoice, "paystack", status=502)
    finally:
        processor.fail = ""
    assert pay(server, invoice, "paystack")["state"] == "pending"


def test_another_amount_is_booked_as_it_came(server: TestServer, processor: FakeProcessor) -> None:
    who, _, payment = begun(server, "1000")
    processor.pay(payment, amount=40_000)
    processor.tell(payment)
    is_in(server, payment, "succeeded")
    assert owed(server, who) == 600


def test_another_currency_than_asked_for_is_left_to_people(server: TestServer, processor: FakeProcessor) -> None:
    who, _, payment = begun(server, "1000")
    processor.pay(payment, currency="USD")
    processor.tell(payment)
    wait_for(lambda: processor.calls[-1].endswith(payment))
    assert state(server, payment) == "pending"
    assert owed(server, who) == 1000


def test_money_for_an_invoice_that_was_cancelled_meanwhile_is_the_payers_credit(
    server: TestServer, processor: FakeProcessor
) -> None:
    who, invoice, payment = begun(server, "1000")
    call(server, "/fhir/Invoice/$invoice", ref("cancel", f"Invoice/{invoice}"))
    processor.pay(payment)
    processor.tell(payment)
    is_in(server, payment, "succeeded")
    party = who.replace("/", ".")
    assert balances(server, f"credit/{party}") == {f"credit/{party}": -1000}
    trial(server)


def test_what_is_paid_twice_is_credit_and_can_be_given_back(server: TestServer, processor: FakeProcessor) -> None:
    who, invoice, first = begun(server, "1000")
    second = pay(server, invoice, "paystack", Idempotency_Key="again")["payment"]
    assert first != second
    for each in (first, second):
        processor.pay(each)
        processor.tell(each)
        is_in(server, each, "succeeded")
    party = who.replace("/", ".")
    assert balances(server, f"credit/{party}") == {f"credit/{party}": -1000}
    asked = call(server, "/fhir/Invoice/$refund", text("payment", second), text("reason", "paid twice"))
    approve = (text("refund", asked["refund"]), {"name": "approve", "valueBoolean": True})
    assert call(server, "/fhir/Invoice/$refund", *approve)["state"] == "paid"
    assert balances(server, f"credit/{party}") == {}
    assert len([call_ for call_ in processor.calls if call_ == "/refund"]) == 1
    trial(server)


def test_a_payment_in_another_currency_keeps_its_rate(server: TestServer, processor: FakeProcessor) -> None:
    who, invoice = invoiced(server, "150000")
    refused = pay(server, invoice, "paystack", text("currency", "USD", "Code"), status=422)
    assert "no rate" in refused["issue"][0]["diagnostics"]
    rate = (text("base", "USD", "Code"), text("quote", "NGN", "Code"), {"name": "rate", "valueDecimal": 1500},
            text("source", "CBN"))  # fmt: skip
    call(server, "/fhir/Invoice/$exchange-rate", *rate)
    paid = pay(server, invoice, "paystack", money("amount", 40, "USD"))["payment"]
    processor.pay(paid)
    processor.tell(paid)
    is_in(server, paid, "succeeded")
    assert owed(server, who) == 90_000
    notice = server.client.get(f"/fhir/PaymentNotice?request=Invoice/{invoice}").json()["entry"][0]["resource"]
    told = {each["url"]: each for each in notice["extension"][0]["extension"]}
    assert (told["rate"]["valueDecimal"], told["source"]["valueString"]) == (1500, "CBN")
    server.clock.go_on(10 * 86_400)
    pay(server, invoice, "paystack", money("amount", 1, "USD"), status=422)
    trial(server)


def test_a_refund_without_an_answer_is_unknown_and_never_paid_twice(
    server: TestServer, processor: FakeProcessor
) -> None:
    _, invoice, payment = begun(server, "1000")
    processor.pay(payment)
    processor.tell(payment)
    is_in(server, payment, "succeeded")
    call(server, "/fhir/Invoice/$invoice", ref("cancel", f"Invoice/{invoice}"))
    asked = call(server, "/fhir/Invoice/$refund", text("payment", payment), text("reason", "not done"))["refund"]
    approve = (text("refund", asked), {"name": "approve", "valueBoolean": True})
    before = processor.calls.count("/refund")
    processor.fail = "500"
    try:
        assert call(server, "/fhir/Invoice/$refund", *approve)["state"] == "unknown"
    finally:
        processor.fail = ""
    assert balances(server, f"refund/{asked}") == {f"refund/{asked}": -1000}
    assert call(server, "/fhir/Invoice/$refund", *approve)["state"] == "unknown"
    assert processor.calls.count("/refund") == before + 1
    seen = (text("refund", asked), text("outcome", "paid", "Code"))
    assert call(server, "/fhir/Invoice/$refund", *seen)["state"] == "paid"
    call(server, "/fhir/Invoice/$refund", *seen, status=409)
    assert balances(server, f"refund/{asked}") == {}
    trial(server)


@pytest.mark.parametrize("method", ["paystack", "cash"])
def test_a_refund_that_several_approve_at_the_same_moment_is_paid_once(
    server: TestServer, processor: FakeProcessor, method: str
) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", method, "Code"))["shift"]
    if method == "cash":
        who, invoice = invoiced(server, "1000")
        payment = pay(server, invoice, "cash", text("shift", shift))["payment"]
    else:
        who, invoice, payment = begun(server, "1000")
        processor.pay(payment)
        processor.tell(payment)
        is_in(server, payment, "succeeded")
    call(server, "/fhir/Invoice/$invoice", ref("cancel", f"Invoice/{invoice}"))
    asked = call(server, "/fhir/Invoice/$refund", text("payment", payment), text("reason", "not done"))["refund"]
    parts = [text("refund", asked), {"name": "approve", "valueBoolean": True}, text("shift", shift)]
    before = processor.calls.count("/refund")

    def approve(_: int) -> int:
        body = {"resourceType": "Parameters", "parameter": parts}
        return server.client.post("/fhir/Invoice/$refund", json=body).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(approve, range(8)))
    assert 200 in answers
    assert answers <= {200, 409}
    assert processor.calls.count("/refund") - before == (method == "paystack")
    assert balances(server, f"credit/{who.replace('/', '.')}") == {}
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift))
    trial(server)
