"""Somebody who subscribed is told when a claim that was pended is decided; a broken table is told, not guessed past."""

from datetime import UTC, datetime
from pathlib import Path

from fhir_server.testing.server import serving
from tests.plugins.fhir_billing.insurance import Desk, Insured, figures
from tests.plugins.fhir_subscriptions.conftest import FAST, subscription
from tests.plugins.fhir_subscriptions.receiver import Receiver
from tests.plugins.only import but


def test_who_subscribed_is_told_of_the_decision() -> None:
    receiver = Receiver().start()
    try:
        with serving(
            real_time=True, plugins_disabled=but("fhir_billing", "fhir_subscriptions"),
            plugins={"fhir_subscriptions": FAST},
        ) as server:  # fmt: skip
            desk = Desk(server)
            insured = Insured(desk)
            criteria = f"ClaimResponse?patient={insured.patient}&outcome=complete"
            channel = {"payload": "application/fhir+json"}
            desk.create(subscription(receiver, criteria, status="requested", channel=channel))
            server.settle()
            answer = desk.submit(insured.claim(("64999", "100.00"), day=datetime.now(UTC).date().isoformat()))
            assert answer["outcome"] == "queued"
            desk.ask(f"{answer['request']['reference']}/$decide", {"resourceType": "Parameters"})
            [got] = receiver.wait(lambda got: got)
            assert got.json["id"] == answer["id"]
            assert figures(got.json) == [{"paid": "0.00", "PR-1": "100.00"}]
    finally:
        receiver.stop()


def test_a_table_with_a_fault_is_told_and_nothing_is_decided(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("plan: mine\nversion: '1'\ncurrency: USD\n")
    settings = {"fhir_billing": {"plans_dir": str(tmp_path)}}
    with serving(plugins_disabled=but("fhir_billing"), plugins=settings) as server:
        desk = Desk(server)
        said = desk.refused(Insured(desk).claim(("99213", "130.00")), 503)
        assert "mine.yaml: effective_from: Field required; benefits: Field required" in said[0][0]
        for path in tmp_path.iterdir():
            path.unlink()
        table = "plan: mine\nversion: '1'\ncurrency: USD\neffective_from: 2020-01-01\nknown_codes_only: true\n"
        (tmp_path / "mine.yaml").write_text(table + "benefits: [{benefit: all, codes: ['A*'], coinsurance: 12.5}]\n")
        said = desk.refused(Insured(desk, "mine").claim(("A1", "10.00"), ("B1", "5.00")))
        assert said == [("the plan mine has no code B1", "Claim.item[1].productOrService")]
        assert figures(desk.submit(Insured(desk, "mine").claim(("A1", "10.00"), day="2025-06-01"))) == [
            {"paid": "8.75", "PR-2": "1.25"}
        ]
