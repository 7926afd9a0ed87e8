"""What of a record is read: the newest of each code, kept until a version of it changes."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fhir_ai.inputs.cache import Log
from fhir_ai.inputs.newest import Newest
from fhir_ai.inputs.units import UCUM, UnitFault, in_unit

from fhir_server.model.json import encode
from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import call, condition, measured, person, store, store_all, vitals
from tests.plugins.only import but

ALONE = but("fhir_ai")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(plugins_disabled=ALONE) as found:
        yield found


def _taken(*resources: dict[str, Any]) -> Newest:
    newest = Newest({"8867-4", "8310-5"})
    for number, each in enumerate(resources):
        newest.take(number, encode(each))
    return newest


def _rate(value: float, hours: float, **other: Any) -> dict[str, Any]:
    return {**measured("Patient/1", "8867-4", value, "/min", hours), **other}


def test_of_each_code_the_newest_instant_is_kept_with_all_its_values() -> None:
    newest = _taken(_rate(70, 1), _rate(150, 1), _rate(60, 2), _rate(1, 1))
    assert [float(each["valueQuantity"]["value"]) for _, each in newest.found] == [70, 150]
    assert newest.open == {"8310-5"}


def test_what_does_not_stand_and_what_has_no_value_is_passed_over() -> None:
    valueless = {key: value for key, value in _rate(1, 0.5).items() if key != "valueQuantity"}
    newest = _taken(_rate(1, 0.1, status="entered-in-error"), valueless, _rate(70, 1))
    assert [float(each["valueQuantity"]["value"]) for _, each in newest.found] == [70]


def test_a_whole_day_comes_before_its_hours_and_does_not_hide_them() -> None:
    newest = _taken(_rate(1, 1, effectiveDateTime="2025-06-15"), _rate(70, 1), _rate(60, 2))
    assert [float(each["valueQuantity"]["value"]) for _, each in newest.found] == [1, 70]


def test_what_is_kept_follows_each_change_of_the_record(server: Any) -> None:
    client = server.client
    patient = store(client, person())
    store_all(client, vitals(patient))
    assert call(client, f"{patient}/$triage")["acuity"] == [5]
    fast = store(client, measured(patient, "8867-4", 135, "/min", 0.1))
    assert call(client, f"{patient}/$triage")["acuity"] == [3]
    changed = {**measured(patient, "8867-4", 95, "/min", 0.1), "id": fast.split("/")[1]}
    assert client.put(f"/fhir/{fast}", json=changed).status_code == 200
    assert call(client, f"{patient}/$triage")["acuity"] == [4]
    assert client.delete(f"/fhir/{fast}").status_code in (200, 204)
    assert call(client, f"{patient}/$triage")["acuity"] == [5]
    store(client, condition(patient, "http://snomed.info/sct", "29857009"))
    assert call(client, f"{patient}/$triage")["acuity"] == [2]


def test_what_others_write_does_not_make_what_is_kept_useless(server: Any) -> None:
    client = server.client
    patient, other = store(client, person()), store(client, person())
    store_all(client, vitals(patient))
    first = call(client, f"{patient}/$triage")
    store_all(client, vitals(other, _8867_4=(140, "/min")))
    assert call(client, f"{patient}/$triage")["risk"][0]["basis"] == first["risk"][0]["basis"]
    for _ in range(3):  # more than is looked through: all is read anew
        store_all(client, [measured(other, "8310-5", 37, "Cel")] * 300)
    store_all(client, [measured(patient, "8867-4", 135, "/min", 0.1)])
    assert call(client, f"{patient}/$triage")["acuity"] == [3]


def test_an_observation_that_is_moved_to_somebody_else_leaves_the_first(server: Any) -> None:
    client = server.client
    one, two = store(client, person()), store(client, person())
    store_all(client, vitals(one))
    fast = store(client, measured(one, "8867-4", 135, "/min", 0.1))
    assert call(client, f"{one}/$triage")["acuity"] == [3]
    moved = {**measured(two, "8867-4", 135, "/min", 0.1), "id": fast.split("/")[1]}
    assert client.put(f"/fhir/{fast}", json=moved).status_code == 200
    assert call(client, f"{one}/$triage")["acuity"] == [5]


def test_what_is_kept_grows_old(server: Any) -> None:
    client = server.client
    patient = store(client, person())
    store_all(client, vitals(patient))
    assert call(client, f"{patient}/$triage")["acuity"] == [5]
    before = server.clock.now
    try:
        server.clock.go_on(100 * 3600)
        assert {each["state"] for each in call(client, f"{patient}/$triage")["missing"]} == {"missing"}
    finally:
        server.clock.now = before


def test_beyond_the_limit_the_older_ones_are_left_out_and_that_is_said(fhir_server_with: Any) -> None:
    client = fhir_server_with(plugins={"fhir_ai": {"most_observations": 120, "cached_patients": 0}}).client
    patient = store(client, person())
    odd = {**measured(patient, "8867-4", 60, "/min", 0.5), "status": "cancelled"}
    store_all(client, [odd] * 230)
    assert any("left out" in each for each in call(client, f"{patient}/$triage")["note"])


async def test_what_was_kept_of_another_store_is_not_shown() -> None:
    class Store:
        def __init__(self, txid: int) -> None:
            self.txid = txid

        async def last_txid(self) -> int:
            return self.txid

    first, second = Store(5), Store(9)
    log = Log(first, 5)
    assert log.is_of(first)
    assert not log.is_of(second)
    assert Log(second, 9).epoch != log.epoch


@pytest.mark.parametrize("value", [Decimal("1e99999999"), Decimal("1e-99999999"), 10**400])
def test_a_number_that_is_no_measurement_is_refused_at_once(value: Decimal | int) -> None:
    for unit in ("mg/dL", "mmol/L"):
        with pytest.raises(UnitFault, match="no measurement"):
            in_unit({"value": value, "system": UCUM, "code": unit}, "mg/dL", molar_mass=113)
