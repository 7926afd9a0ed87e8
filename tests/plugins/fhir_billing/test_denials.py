"""What payers denied, by payer and reason; tables of rules are checked by a command."""

from pathlib import Path

import pytest
from fhir_billing.adjudication.library import SHIPPED
from fhir_billing.claims.denials import denials
from fhir_billing.claims.records import CLAIMS, ClaimRecord, WrongWay

from fhir_server.cli import main
from fhir_server.plugin_api import PluginStore, RecordChange
from fhir_server.settings import Settings
from fhir_server.storage.memory import MemoryProvider
from fhir_server.testing.clock import FakeClock


def value(decided: int, *denied: tuple[str, str, str], state: str = "decided") -> dict[str, object]:
    return {
        "state": state, "use": "claim", "payor": "Organization/1", "currency": "USD", "decided": decided,
        "submitted": "100.00", "paid": "20.00", "denied": [list(each) for each in denied],
    }  # fmt: skip


async def test_denials_are_counted_by_payer_and_reason(tmp_path: Path) -> None:
    raw = await MemoryProvider(Settings(data_dir=tmp_path), FakeClock()).open("default")
    await raw.declare(CLAIMS)
    store = PluginStore(raw, "fhir_billing")
    records = {
        "a": value(5, ("CO", "197", "600.00"), ("PR", "96", "900.00")), "b": value(6, ("CO", "197", "400.00")),
        "c": value(7), "d": value(50, ("CO", "29", "1.00")), "e": value(6, ("CO", "29", "1.00"), state="cancelled"),
    }  # fmt: skip
    await store.put(*(RecordChange(CLAIMS.name, key, each) for key, each in records.items()))
    counts, reasons = await denials(store, 0, 10)
    assert counts == {("Organization/1", "USD"): 3}
    assert [(each.reason, each.claims, str(each.amount)) for each in reasons] == [
        ("197", 2, "1000.00"), ("96", 1, "900.00"),
    ]  # fmt: skip


def test_a_claim_never_goes_back() -> None:
    for before, after in (("decided", "queued"), ("cancelled", "decided"), ("replaced", "decided"), ("", "pended")):
        with pytest.raises(WrongWay, match="cannot become"):
            ClaimRecord("1", {"state": before}).change(after)  # type: ignore[arg-type]


def test_tables_are_checked_with_the_tests_beside_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in SHIPPED.glob("us-ppo*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert main(["check-plans", str(tmp_path)]) == 0
    assert "us-ppo|2026.1: 12 benefits, 11 prices" in capsys.readouterr().out
    tests = tmp_path / "us-ppo.tests.yaml"
    tests.write_text(tests.read_text().replace("PR-3: 30.00, paid: 70.00", "PR-3: 30.00, paid: 71.00"))
    assert main(["check-plans", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "line 1: CO-45 30.00, PR-3 30, paid 70.00 instead of CO-45 30.00, PR-3 30.00, paid 71.00" in said
    (tmp_path / "us-ppo.benefits.csv").write_text("benefit,codes,coinsurance\nall,*,120\n")
    assert main(["check-plans", str(tmp_path)]) == 1
    assert "benefits.0.coinsurance" in capsys.readouterr().err
