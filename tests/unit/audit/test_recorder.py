"""Refusals of those who are not known are counted: none is lost, and failed sign-ins are told within seconds."""

import asyncio

import pytest

from fhir_server.audit import recorder as module
from fhir_server.audit.events import REFUSED, SIGN_IN, Agent, event_of
from fhir_server.audit.recorder import Recorder
from fhir_server.settings import Settings
from fhir_server.storage.memory.store import MemoryStore


async def counts(store: MemoryStore) -> list[tuple[str, int]]:
    return [(event_of(entry).code, event_of(entry).count) for entry in await store.audit.span(1, 99)]


async def test_failed_sign_ins_are_summed_up_though_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIGN_INS", 0.05)
    store = MemoryStore(Settings(), lambda: 1)
    recorder = Recorder(lambda: 1)
    book = recorder.book("t", store.audit)
    for _ in range(4):
        recorder.refused(book, Agent(address="10.0.0.1"), 401)
        recorder.refused(book, Agent("ann", address="10.0.0.1"), 403, SIGN_IN)
    await asyncio.sleep(0.3)
    assert sorted(await counts(store)) == [(SIGN_IN, 1), (SIGN_IN, 3), (REFUSED, 1), (REFUSED, 3)]
    await recorder.close()
    assert len(await counts(store)) == 4


async def test_refused_requests_are_summed_up_when_the_server_ends() -> None:
    store = MemoryStore(Settings(), lambda: 1)
    recorder = Recorder(lambda: 1)
    book = recorder.book("t", store.audit)
    for _ in range(4):
        recorder.refused(book, Agent(address="10.0.0.1"), 401)
    await recorder.close()
    assert await counts(store) == [(REFUSED, 1), (REFUSED, 3)]
