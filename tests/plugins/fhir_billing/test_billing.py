"""From a procedure to a paid invoice: charges, invoices, cash, payments, refunds."""

from concurrent.futures import ThreadPoolExecutor

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


def test_what_is_done_is_charged_once_and_billed(server: TestServer) -> None:
    price(server, "consult", "5000")
    who = patient(server)
    procedure = done(server, who, "consult")
    server.client.put(
        f"/fhir/{procedure}", json=server.client.get(f"/fhir/{procedure}").json() | {"note": [{"text": "x"}]}
    )
    server.settle()
    items = server.client.get(f"/fhir/ChargeItem?subject={who}").json()["entry"]
    assert [each["resource"]["priceOverride"]["value"] for each in items] == [5000]
    made = call(server, "/fhir/Invoice/$invoice", ref("patient", who))["invoice"]
    assert (made["status"], made["totalNet"]["value"]) == ("issued", 5000)
    account = server.client.get(f"/fhir/{made['account']['reference']}").json()
    assert (account["status"], account["subject"]) == ("active", [{"reference": who}])
    closed = server.client.put(f"/fhir/Account/{account['id']}", json=account | {"status": "inactive"})
    assert closed.json()["issue"][0]["expression"] == ["Account.status"]
    assert balances(server, f"receivable/{who.replace('/', '.')}") == {
        f"receivable/{who.replace('/', '.')}/{made['id']}": 5000
    }
    call(server, "/fhir/Invoice/$invoice", ref("patient", who), status=409)
    trial(server)


def test_something_in_error_is_taken_back(server: TestServer) -> None:
    price(server, "undone", "700")
    who = patient(server)
    name = done(server, who, "undone")
    assert balances(server, f"unbilled/{who[8:]}") == {f"unbilled/{who[8:]}": 700}
    changed = server.client.get(f"/fhir/{name}").json() | {"status": "entered-in-error"}
    assert server.client.put(f"/fhir/{name}", json=changed).status_code == 200
    server.settle()
    assert balances(server, f"unbilled/{who[8:]}") == {}
    item = server.client.get(f"/fhir/ChargeItem?subject={who}").json()["entry"][0]["resource"]
    assert item["status"] == "entered-in-error"
    trial(server)


def test_prices_have_history_tariffs_discounts_and_exemptions_by_rule(server: TestServer) -> None:
    rule = {"language": "text/fhirpath", "expression": "birthDate > @2020-01-01"}
    exempt = {
        "applicability": [rule],
        "priceComponent": [{"type": "deduction", "factor": 1, "code": {"text": "under-five"}}],
    }
    off = {"priceComponent": [{"type": "discount", "factor": 0.1, "code": {"text": "campaign"}}]}
    price(server, "scan", "900", groups=[off], effectivePeriod={"start": "2020-01-01", "end": "2025-05-31"})
    price(server, "scan", "1000", groups=[off, exempt], effectivePeriod={"start": "2025-06-01"}, version="2")
    adult, child = patient(server), patient(server, birthDate="2022-03-01")
    done(server, adult, "scan")
    done(server, child, "scan")
    nets = {
        who: server.client.get(f"/fhir/ChargeItem?subject={who}").json()["entry"][0]["resource"]["priceOverride"][
            "value"
        ]
        for who in (adult, child)
    }
    assert nets == {adult: 900, child: 0}
    made = call(server, "/fhir/Invoice/$invoice", ref("patient", adult))["invoice"]
    parts = [(each["type"], each["amount"]["value"]) for each in made["lineItem"][0]["priceComponent"]]
    assert parts == [("base", 1000), ("discount", -100)]
    assert balances(server, "exemption/under-five") == {"exemption/under-five": 900}
    trial(server)


def test_what_a_package_holds_costs_nothing_more(server: TestServer) -> None:
    price(server, "antenatal", "20000")
    price(server, "visit", "3000", partOf=["http://test/prices/antenatal"])
    who = patient(server)
    done(server, who, "antenatal")
    done(server, who, "visit")
    made = call(server, "/fhir/Invoice/$invoice", ref("patient", who))["invoice"]
    assert made["totalNet"]["value"] == 20000
    trial(server)


def test_a_derived_field_cannot_be_written_by_rest(server: TestServer) -> None:
    who, invoice = invoiced(server)
    there = server.client.get(f"/fhir/Invoice/{invoice}").json()
    refused = server.client.put(f"/fhir/Invoice/{invoice}", json=there | {"status": "balanced"})
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Invoice.status"]
    assert server.client.delete(f"/fhir/Invoice/{invoice}").status_code == 422
    noted = server.client.put(f"/fhir/Invoice/{invoice}", json=there | {"note": [{"text": "called"}]})
    assert noted.status_code == 200, noted.text
    assert created(server, {"resourceType": "Invoice", "status": "draft", "subject": {"reference": who}})


def test_cash_needs_a_shift_and_gives_receipts_without_gaps(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "main", "Code"), money("float", 1000))
    _, invoice = invoiced(server, "5000")
    pay(server, invoice, "cash", money("amount", 2000), status=409)
    first = pay(server, invoice, "cash", money("amount", 2000), text("shift", shift["shift"]))
    rest = pay(server, invoice, "cash", money("amount", 9000), text("shift", shift["shift"]))
    assert (first["receipt"], rest["receipt"], rest["amount"]["value"]) == ("main-000001", "main-000002", 3000)
    assert rest["notice"]["paymentStatus"]["coding"][0]["code"] == "paid"
    assert server.client.get(f"/fhir/Invoice/{invoice}").json()["status"] == "balanced"
    pay(server, invoice, "cash", text("shift", shift["shift"]), status=409)
    closing = call(
        server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift["shift"]), money("counted", 5900)
    )
    found = {part["name"]: part["valueMoney"]["value"] for part in closing["currency"]}
    assert found == {"expected": 6000, "counted": 5900, "difference": -100}
    assert balances(server, "shortage") == {"shortage/cash": 100}
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift["shift"]), status=409)
    trial(server)


def test_one_episode_is_shared_and_no_unit_is_lost(server: TestServer) -> None:
    for code, amount in (("day", "333.33"), ("drug", "66.68")):
        price(server, code, amount, "USD")
    who = patient(server)
    employer = created(server, server.build("Organization", name="Works"))
    insurers = [created(server, server.build("Organization", name=f"Insurer {n}")) for n in range(3)]
    coverages = [
        created(server, {"resourceType": "Coverage", "status": "active", "beneficiary": {"reference": who},
                         "payor": [{"reference": each}]})
        for each in insurers
    ]  # fmt: skip
    done(server, who, "day")
    done(server, who, "drug")

    def share(*parts: dict[str, object]) -> dict[str, object]:
        return {"name": "share", "part": list(parts)}

    claims = [
        share(ref("party", insurer), ref("coverage", coverage), text("kind", "claim", "Code"),
              {"name": "percent", "valueDecimal": percent})
        for insurer, coverage, percent in zip(insurers, coverages, (33.3, 20, 7), strict=True)
    ]  # fmt: skip
    made = call(
        server, "/fhir/Invoice/$invoice", ref("patient", who), *claims,
        share(ref("party", employer), money("amount", 50, "USD")),
        share(ref("party", who), text("kind", "exemption", "Code"), text("code", "poor", "Code"),
              money("amount", 10, "USD")),
        share(ref("party", who)),
    )  # fmt: skip
    totals = [each["total"]["value"] for each in made["claim"]] + [
        each["totalNet"]["value"] for each in made["invoice"]
    ]
    assert totals == [133.2, 80, 28, 50, 98.81]
    assert round(sum(totals) + 10, 2) == 400.01
    for each in made["claim"]:
        assert round(sum(line["net"]["value"] for line in each["item"]), 2) == each["total"]["value"]
    over = share(ref("party", who), money("amount", 99999, "USD"))
    call(server, "/fhir/Invoice/$invoice", ref("patient", who), over, status=409)
    trial(server)


def test_currencies_are_not_mixed_and_have_their_decimals(server: TestServer) -> None:
    price(server, "in-naira", "10")
    price(server, "in-dollars", "10", "USD")
    who = patient(server)
    done(server, who, "in-naira")
    done(server, who, "in-dollars")
    refused = call(server, "/fhir/Invoice/$invoice", ref("patient", who), status=422)
    assert "one invoice for each currency" in refused["issue"][0]["diagnostics"]
    _, invoice = invoiced(server, "100")
    for amount, currency, status in (
        (1.005, "NGN", 422),
        (-5, "NGN", 422),
        (0, "NGN", 422),
        (101, "NGN", 422),
        (1, "XXX", 422),
        (5, "ZWG", 422),
    ):
        said = pay(server, invoice, "credit", money("amount", amount, currency), status=status)
        assert said["resourceType"] == "OperationOutcome"
    trial(server)


def test_a_cancelled_invoice_gives_what_was_paid_as_credit(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "second", "Code"))["shift"]
    who, invoice = invoiced(server, "1000")
    pay(server, invoice, "cash", money("amount", 400), text("shift", shift))
    cancelled = call(server, "/fhir/Invoice/$invoice", ref("cancel", f"Invoice/{invoice}"), text("reason", "wrong"))
    assert cancelled["invoice"]["status"] == "cancelled"
    call(server, "/fhir/Invoice/$invoice", ref("cancel", f"Invoice/{invoice}"))
    assert pay(server, invoice, "cash", text("shift", shift), status=409)["issue"][0]["code"] == "conflict"
    assert balances(server, f"credit/{who.replace('/', '.')}") == {f"credit/{who.replace('/', '.')}": -400}
    again = call(server, "/fhir/Invoice/$invoice", ref("patient", who))["invoice"]["id"]
    assert again != invoice
    assert pay(server, again, "credit", money("amount", 400))["state"] == "succeeded"
    pay(server, again, "credit", money("amount", 1), status=409)
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift), money("counted", 400))
    trial(server)


def test_a_refund_is_asked_for_approved_and_paid_once(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "third", "Code"))["shift"]
    _, invoice = invoiced(server, "1000")
    paid = pay(server, invoice, "cash", text("shift", shift))["payment"]
    asked = call(server, "/fhir/Invoice/$refund", text("payment", paid), money("amount", 300), text("reason", "undone"))
    assert asked["state"] == "asked"
    assert server.client.get(f"/fhir/Task/{asked['refund']}").json()["status"] == "requested"
    too_much = (text("payment", paid), money("amount", 800), text("reason", "more"))
    call(server, "/fhir/Invoice/$refund", *too_much, status=422)
    decide = (text("refund", asked["refund"]), {"name": "approve", "valueBoolean": True}, text("shift", shift))
    refused = call(server, "/fhir/Invoice/$refund", *decide, status=409)
    assert "overdrawn" in refused["issue"][0]["diagnostics"]
    call(server, "/fhir/Invoice/$invoice", ref("cancel", f"Invoice/{invoice}"))
    done_ = call(server, "/fhir/Invoice/$refund", *decide)
    assert (done_["state"], done_["receipt"]) == ("paid", "third-000002")
    call(server, "/fhir/Invoice/$refund", *decide, status=409)
    assert balances(server, f"cash/{shift}") == {f"cash/{shift}": 700}
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift), money("counted", 700))
    trial(server)


def test_a_key_makes_one_payment_and_is_of_one_request(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "fourth", "Code"))["shift"]
    _, invoice = invoiced(server, "1000")
    ask = (invoice, "cash", money("amount", 100), text("shift", shift))
    one = pay(server, *ask, Idempotency_Key="k1")
    assert pay(server, *ask, Idempotency_Key="k1")["receipt"] == one["receipt"]
    other = pay(server, invoice, "cash", money("amount", 101), text("shift", shift), Idempotency_Key="k1", status=422)
    assert "another request" in other["issue"][0]["diagnostics"]
    assert balances(server, f"cash/{shift}") == {f"cash/{shift}": 100}
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift), money("counted", 100))


def test_what_has_a_price_is_captured_from_every_type(server: TestServer) -> None:
    price(server, "all", "100")
    who = patient(server)
    code = {"coding": [{"system": "http://test/codes", "code": "all"}]}
    laboratory = {
        "coding": [{"code": "laboratory", "system": "http://terminology.hl7.org/CodeSystem/observation-category"}]
    }
    subject = {"reference": who}
    for resource in (
        server.build("Encounter", status="finished", subject=subject, type=[code], period={"start": "2025-06-15"}),
        {"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": code,
         "subject": subject, "quantity": {"value": 3}, "whenHandedOver": "2025-06-15"},
        server.build("Observation", subject=subject, code=code, category=[laboratory]),
        server.build("Observation", subject=subject, code=code),
        {"resourceType": "ImagingStudy", "status": "available", "subject": subject, "procedureCode": [code],
         "started": "2025-06-15"},
        {"resourceType": "ChargeItem", "status": "planned", "code": code, "subject": subject,
         "occurrenceDateTime": "2025-06-15", "quantity": {"value": 2}},
    ):  # fmt: skip
        created(server, resource)
    server.settle()
    entries = server.client.get(f"/fhir/ChargeItem?subject={who}").json()["entry"]
    nets = sorted(each["resource"]["priceOverride"]["value"] for each in entries)
    assert nets == [100, 100, 100, 200, 300]
    assert call(server, "/fhir/Invoice/$invoice", ref("patient", who))["invoice"]["totalNet"]["value"] == 800
    trial(server)


def test_cashiers_at_the_same_moment_leave_no_gap_in_the_receipts(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "busy", "Code"))["shift"]
    invoices = [invoiced(server, "100")[1] for _ in range(6)]

    def one(number: int) -> str:
        found = pay(server, invoices[number % 6], "cash", money("amount", 10), text("shift", shift))
        return str(found["receipt"])

    with ThreadPoolExecutor(8) as threads:
        receipts = sorted(threads.map(one, range(24)))
    assert receipts == [f"busy-{number:06d}" for number in range(1, 25)]
    assert balances(server, f"cash/{shift}") == {f"cash/{shift}": 240}
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift), money("counted", 240))
    trial(server)


def test_an_invoice_is_not_paid_twice_by_two_at_the_same_moment(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "race", "Code"))["shift"]
    who, invoice = invoiced(server, "100")

    def one(_: int) -> int:
        parts = [{"name": "method", "valueCode": "cash"}, text("shift", shift)]
        body = {"resourceType": "Parameters", "parameter": parts}
        return server.client.post(f"/fhir/Invoice/{invoice}/$pay", json=body).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    owed = balances(server, f"receivable/{who.replace('/', '.')}")
    party = who.replace("/", ".")
    credit = balances(server, f"credit/{party}").get(f"credit/{party}", 0)
    cash = balances(server, f"cash/{shift}")[f"cash/{shift}"]
    assert owed == {}
    assert cash == 100 * answers.count(200)
    assert credit == 100 - cash
    assert 409 in answers
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift), money("counted", cash))
    trial(server)


def test_a_quantity_that_cannot_be_is_not_charged(server: TestServer) -> None:
    price(server, "many", "100")
    who = patient(server)
    code = {"coding": [{"system": "http://test/codes", "code": "many"}]}
    item = {
        "resourceType": "ChargeItem", "status": "planned", "code": code, "subject": {"reference": who},
        "occurrenceDateTime": "2025-06-15",
    }  # fmt: skip
    for quantity in (-2, 0, 1e40):
        created(server, item | {"quantity": {"value": quantity}})
    server.settle()
    assert balances(server, f"unbilled/{who[8:]}") == {}
    created(server, item | {"quantity": {"value": 0.5}})
    server.settle()
    assert balances(server, f"unbilled/{who[8:]}") == {f"unbilled/{who[8:]}": 50}
    trial(server)


def test_a_refund_of_nothing_is_none(server: TestServer) -> None:
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "nothing", "Code"))["shift"]
    _, invoice = invoiced(server, "1000")
    paid = pay(server, invoice, "cash", text("shift", shift))["payment"]
    call(server, "/fhir/Invoice/$refund", text("payment", paid), money("amount", 0), text("reason", "x"), status=422)
    call(server, "/fhir/PaymentReconciliation/$close-shift", text("shift", shift), money("counted", 1000))
