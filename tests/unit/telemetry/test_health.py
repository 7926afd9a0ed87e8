"""Checks of health: asked together, in words for who is near, one of them may take the node out of service."""

import asyncio

import pytest

from fhir_server.telemetry import health
from fhir_server.telemetry.health import Check, Checks, Finding


async def well() -> Finding:
    return Finding(details={"lag": 3})


async def ill() -> Finding:
    return Finding("failing", "it is gone", {"since": 7})


async def broken() -> Finding:
    raise RuntimeError("Mrs Smith")


async def test_a_node_is_ready_while_nothing_that_gates_fails() -> None:
    checks = Checks()
    checks.add(Check("store", well, gates=True))
    assert (await checks.report()).status == "ready"
    checks.add(Check("index", ill))
    found = await checks.report()
    assert (found.status, found.gated) == ("degraded", False)
    checks.add(Check("breaker", ill, gates=True))
    assert (await checks.report()).status == "not ready"


async def test_reasons_and_numbers_are_for_who_is_near() -> None:
    checks = Checks()
    with checks.having(Check("a", ill), Check("b", well)):
        found = await checks.report()
    assert found.shown(near=True) == {
        "a": {"state": "failing", "said": "it is gone", "since": 7},
        "b": {"state": "ok", "lag": 3},
    }
    assert found.shown(near=False) == {"a": {"state": "failing"}, "b": {"state": "ok"}}
    assert (await checks.report()).findings == {}


async def test_a_check_that_breaks_or_hangs_fails_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_WITHIN", 0.02)
    checks = Checks()
    checks.add(Check("broken", broken))
    checks.add(Check("hangs", lambda: asyncio.sleep(9, Finding())))
    found = (await checks.report()).findings
    assert (found["broken"].state, found["broken"].said) == ("failing", "RuntimeError")
    assert found["hangs"].state == "failing"


async def test_an_answer_that_is_fresh_is_given_again() -> None:
    asked = []

    async def probe() -> Finding:
        asked.append(1)
        return Finding()

    checks = Checks()
    checks.add(Check("dear", probe, fresh_for=60))
    await checks.report()
    await checks.report()
    assert len(asked) == 1
