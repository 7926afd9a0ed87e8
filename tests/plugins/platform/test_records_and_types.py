"""Records of plugins come to a new version once; typed views are for reading."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fhir_server.errors import InvalidResource
from fhir_server.plugin_api import Migration, typed
from fhir_server.plugin_host.migrations import Readiness, migrate, undo, waiting
from fhir_server.settings import Settings
from fhir_server.storage.base import Collection, RecordChange, Store, StoreProvider
from fhir_server.storage.sqlite.provider import SqliteProvider

_COUNT = 1_200


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[StoreProvider]:
    provider = SqliteProvider(tmp_path, Settings(data_dir=tmp_path, durable=False))
    yield provider
    await provider.close()


def _named(version: int) -> Collection:
    return Collection("probe.notes", version=version)


def _with(name: str) -> Any:
    def change(value: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**value, name: value.get(name, 0) + 1}

    return change


_STEPS = (Migration("probe.notes", 2, _with("second")), Migration("probe.notes", 3, _with("third")))


async def _filled(stores: StoreProvider) -> Store:
    store = await stores.open("default")
    await Readiness(stores, [_named(1)], [])("default", store)
    rows = [RecordChange("probe.notes", f"{number:05}", {"text": "x"}) for number in range(_COUNT)]
    await store.commit((), rows)
    return store


async def _all(store: Store) -> list[Mapping[str, Any]]:
    return [record.value for record in await store.records.find("probe.notes", limit=10_000)]


async def test_each_record_takes_each_step_once(stores: StoreProvider) -> None:
    store = await _filled(stores)
    for _ in range(2):
        await Readiness(stores, [_named(3)], _STEPS)("default", store)
    assert await _all(store) == [{"text": "x", "second": 1, "third": 1}] * _COUNT


async def test_one_that_is_cut_off_goes_on_where_it_was(stores: StoreProvider) -> None:
    store = await _filled(stores)
    calls = 0

    def change(value: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 700:
            raise KeyboardInterrupt
        return {**value, "second": value.get("second", 0) + 1}

    steps = [Migration("probe.notes", 2, change)]
    with pytest.raises(KeyboardInterrupt):
        await migrate(store, [_named(2)], steps)
    await migrate(store, [_named(2)], steps)
    assert await _all(store) == [{"text": "x", "second": 1}] * _COUNT


def _without(name: str) -> Any:
    return lambda value: {each: found for each, found in value.items() if each != name}


async def test_a_step_that_waits_runs_when_the_upgrade_is_finished(stores: StoreProvider) -> None:
    store = await _filled(stores)
    steps = [Migration("probe.notes", 2, _with("second"), waits=True), Migration("probe.notes", 3, _with("third"))]
    await Readiness(stores, [_named(3)], steps)("default", store)
    assert await _all(store) == [{"text": "x"}] * _COUNT
    await Readiness(stores, [_named(1)], [])("default", store)  # a node of the release before opens it meanwhile
    assert await waiting(store, [_named(3)], steps) == ["probe.notes@2", "probe.notes@3"]
    await migrate(store, [_named(3)], steps, finish=True)
    assert await _all(store) == [{"text": "x", "second": 1, "third": 1}] * _COUNT
    assert await waiting(store, [_named(3)], steps) == []


async def test_records_go_back_for_the_release_before_which_refuses_them_until_then(stores: StoreProvider) -> None:
    store = await _filled(stores)
    steps = [Migration("probe.notes", 2, _with("second"), back=_without("second"))]
    await Readiness(stores, [_named(2)], steps)("default", store)
    with pytest.raises(ValueError, match=r"probe\.notes is at version 2, and this release knows 1: run `fhir-server"):
        await Readiness(stores, [_named(1)], [])("default", store)
    assert await undo(store, [_named(2)], steps) == [f"probe.notes: {_COUNT} records are at version 1 again"]
    await Readiness(stores, [_named(1)], [])("default", store)
    assert await _all(store) == [{"text": "x"}] * _COUNT
    await Readiness(stores, [_named(2)], steps)("default", store)
    assert await _all(store) == [{"text": "x", "second": 1}] * _COUNT


async def test_a_step_without_a_way_back_says_so(stores: StoreProvider) -> None:
    store = await _filled(stores)
    await Readiness(stores, [_named(2)], _STEPS[:1])("default", store)
    with pytest.raises(ValueError, match=r"cannot go back from version 2: restore a backup"):
        await undo(store, [_named(2)], _STEPS[:1])


async def test_a_version_without_a_way_to_it_stops_it(stores: StoreProvider) -> None:
    store = await _filled(stores)
    with pytest.raises(ValueError, match="register_migrations lacks steps"):
        await migrate(store, [_named(3)], _STEPS[1:])


def test_a_typed_view_has_types_and_cannot_be_written() -> None:
    patient = typed({"resourceType": "Patient", "birthDate": "1974-12-25", "name": [{"family": "Chalmers"}]})
    assert (patient.birthDate.year, patient.name[0].family) == (1974, "Chalmers")
    with pytest.raises(AttributeError, match="for reading"):
        patient.birthDate = "2000-01-01"
    with pytest.raises(AttributeError, match="for reading"):
        patient.name[0].family = "Other"
    assert isinstance(patient.name, tuple)


def test_what_the_model_does_not_take_is_an_error_without_values() -> None:
    with pytest.raises(InvalidResource) as raised:
        typed({"resourceType": "Patient", "birthDate": "Chalmers"})
    assert "Chalmers" not in str(raised.value)
