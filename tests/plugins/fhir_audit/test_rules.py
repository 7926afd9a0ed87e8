"""The rules by themselves: windows, bounds, and what they do not fall for."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from fhir_audit.breaches.cases import Ration
from fhir_audit.breaches.counting import Bulk, FailedSignIns, OutOfHours
from fhir_audit.breaches.homes import home_of
from fhir_audit.breaches.seen import Finding, Seen, seen_of
from fhir_audit.settings import AuditSettings

from fhir_server.audit.events import Agent, Event, agent_text, row_of
from fhir_server.storage.audit import AuditEntry

MINUTE = 60_000


def seen(time: int, *patients: str, user: str = "ann", count: int = 0, code: str = "read", status: int = 200) -> Seen:
    agent = Agent(user, address="10.0.0.1", roles=("clinician",))
    row = row_of(time, agent_text(agent), Event(code, status, patients=patients, count=count))
    found = seen_of(AuditEntry(1, row.time, row.agent, row.body))
    assert found is not None
    return found


def test_patients_of_bulk_reads_are_forgotten_with_the_window() -> None:
    slow = Bulk(AuditSettings(bulk_patients=3, bulk_window=60))
    assert not any(slow.look(seen(n * 31_000, f"p{n}")) for n in range(50))
    same = Bulk(AuditSettings(bulk_patients=3, bulk_window=60))
    assert not any(same.look(seen(n, f"p{n % 2}")) for n in range(50))
    fast = Bulk(AuditSettings(bulk_patients=3, bulk_window=60))
    assert [len(fast.look(seen(n * 20_000, f"p{n}"))) for n in range(6)] == [0, 0, 1, 0, 0, 1]


def test_users_are_counted_apart_and_refused_reads_not_at_all() -> None:
    rule = Bulk(AuditSettings(bulk_patients=2))
    assert not any(rule.look(seen(n, f"p{n}", user=f"u{n}")) for n in range(9))
    assert not any(rule.look(seen(n, f"q{n}", status=403)) for n in range(9))


def test_an_answer_with_more_patients_than_are_named_counts_them() -> None:
    (finding,) = Bulk(AuditSettings(bulk_patients=1_500)).look(seen(1, "a", "b", count=1_600, code="search-type"))
    assert finding.count == 1_600


def test_working_hours_are_those_of_the_place_and_may_span_midnight() -> None:
    monday_noon = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1_000)
    day = OutOfHours(AuditSettings(hours="07:00-19:00"), UTC)
    assert not day.look(seen(monday_noon, "p"))
    assert day.look(seen(monday_noon + 8 * 60 * MINUTE, "p"))
    assert day.look(seen(monday_noon - 24 * 60 * MINUTE, "p")), "a Sunday"
    assert OutOfHours(AuditSettings(hours="07:00-19:00"), ZoneInfo("Asia/Tokyo")).look(seen(monday_noon, "p"))
    night = OutOfHours(AuditSettings(hours="22:00-06:00"), UTC)
    assert night.look(seen(monday_noon, "p"))
    assert not night.look(seen(monday_noon + 11 * 60 * MINUTE, "p"))


def test_failed_sign_ins_count_by_name_and_by_address() -> None:
    rule = FailedSignIns(AuditSettings(login_failures=3))
    assert not rule.look(seen(1, user="bob", code="login", status=403))
    found = rule.look(seen(2, user="bob", code="login", status=403, count=2))
    assert sorted(finding.who for finding in found) == ["address:10.0.0.1", "name:bob"]
    other = FailedSignIns(AuditSettings(login_failures=3))
    found = [finding for n in range(5) for finding in other.look(seen(n, user=f"u{n}", code="login", status=403))]
    assert [finding.who for finding in found] == ["address:10.0.0.1"]


def test_alerts_of_one_rule_are_bounded_in_a_window() -> None:
    ration = Ration(AuditSettings(most_alerts=3, quiet=100))
    names = [ration.of(Finding("r", f"u{n}", n, 1, "said")).who for n in range(6)]
    assert names == ["u0", "u1", "u2", "others", "others", "others"]
    assert ration.of(Finding("r", "u1", 9, 1, "said")).who == "u1"
    assert ration.of(Finding("other", "u9", 9, 1, "said")).who == "u9"
    assert ration.of(Finding("r", "u9", 9, 100_001, "said")).who == "u9"


def test_homes_are_compared_without_case_accents_and_punctuation() -> None:
    one = home_of({"name": [{"family": "Müller"}], "address": [{"line": ["12, Elm St."], "city": "New  York"}]})
    other = home_of({"name": [{"family": "MULLER"}], "address": [{"line": ["12 elm st"], "city": "new york"}]})
    assert one.shares_address(other) and one.shares_name_and_place(other)
    without = home_of({"name": [{"family": "Muller"}], "address": [{"line": ["12 Elm St"]}, "odd"], "birthDate": "x"})
    assert not one.shares_address(without)
    assert not home_of({}).shares_address(home_of({}))
    assert not home_of({}).is_same_person(home_of({}))
