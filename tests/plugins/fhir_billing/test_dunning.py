"""Subscriptions and dunning: each period and each step once."""

from datetime import date

import pytest
from fhir_billing.dunning.subscriptions import Period
from fhir_billing.naming import date_of

from fhir_server.plugin_api import BadValue
from fhir_server.testing.server import TestServer
from tests.plugins.fhir_billing.conftest import call, invoiced, patient, price, ref, text, trial


def test_a_period_of_months_keeps_its_day() -> None:
    starts = [Period(months=1).start_of(date(2026, 1, 31), number).isoformat() for number in range(4)]
    assert starts == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]
    assert Period(days=7).start_of(date(2026, 12, 28), 1).isoformat() == "2027-01-04"
    for months, days in ((0, 0), (1, 1), (-1, 0)):
        with pytest.raises(BadValue):
            Period(months, days)


def test_a_subscription_is_billed_once_a_period_and_suspended_when_nobody_pays(server: TestServer) -> None:
    price(server, "plan", "2500")
    who = patient(server)
    today = date_of(server.clock.now)
    code = {"name": "code", "valueCodeableConcept": {"coding": [{"system": "http://test/codes", "code": "plan"}]}}
    given = (ref("patient", who), code, {"name": "months", "valueInteger": 1}, {"name": "start", "valueDate": today})
    made = call(server, "/fhir/Invoice/$subscribe", *given)
    for _ in range(3):
        assert server.client.post("/fhir/Invoice/$dunning").status_code == 200
    assert _count(server, "Invoice", subject=who) == 1
    server.clock.go_on(8 * 86_400)
    for _ in range(4):
        server.client.post("/fhir/Invoice/$dunning")
    assert _count(server, "CommunicationRequest", subject=who) == 2
    server.clock.go_on(30 * 86_400)
    for _ in range(3):
        server.client.post("/fhir/Invoice/$dunning")
    assert (_count(server, "Invoice", subject=who), _count(server, "CommunicationRequest", subject=who)) == (1, 3)
    ended = call(server, "/fhir/Invoice/$subscribe", text("end", made["subscription"]))
    assert ended["state"] == "ended"
    trial(server)


def test_what_is_paid_is_not_dunned(server: TestServer) -> None:
    who, invoice = invoiced(server, "100")
    shift = call(server, "/fhir/PaymentReconciliation/$open-shift", text("point", "dun", "Code"))["shift"]
    call(server, f"/fhir/Invoice/{invoice}/$pay", text("method", "cash", "Code"), text("shift", shift))
    server.clock.go_on(20 * 86_400)
    server.client.post("/fhir/Invoice/$dunning")
    assert _count(server, "CommunicationRequest", subject=who) == 0


def _count(server: TestServer, type_: str, **criteria: str) -> int:
    return int(server.client.get(f"/fhir/{type_}", params={**criteria, "_total": "accurate"}).json()["total"])
