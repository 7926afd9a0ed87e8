"""The fast road: what it compiles, when it stops, and that it is safe among threads."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest

from fhir_server.definitions import load
from fhir_server.validation import StructureValidator
from fhir_server.validation.structure import shapes
from fhir_server.validation.structure.plan import Plan
from fhir_server.validation.structure.shapes import Budget, FastRoad
from tests.unit.validation.builders import condition, observation, patient

PLAN = Plan(load())
NAMES = ("id", "active", "gender", "birthDate", "deceasedBoolean")


class Clock:
    """A clock that stands still unless told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def shuffled_patients() -> list[dict[str, Any]]:
    """120 good patients, each of a shape of its own."""
    values = patient(deceasedBoolean=False)
    return [{"resourceType": "Patient", **{name: values[name] for name in order}} for order in permutations(NAMES)]


def test_shape_is_compiled_once() -> None:
    road = FastRoad(PLAN)
    assert road.good(condition(), False)
    compiled = road.compiled
    assert compiled > 0
    for _ in range(3):
        assert road.good(condition(subject={"reference": "Patient/other"}), False)
    assert road.compiled == compiled


def test_bad_object_is_never_compiled() -> None:
    road = FastRoad(PLAN)
    for number in range(50):
        assert not road.good(patient(**{f"foo{number}": 1}), False)
        assert not road.good(patient(gender="x", deceasedBoolean=False, deceasedDateTime="2020"), False)
    assert road.compiled == 0


def test_time_for_compilation_is_bounded_and_comes_back() -> None:
    clock = Clock()
    budget = Budget(clock)
    road = FastRoad(PLAN, budget)
    budget.spend(shapes.BURST + 1)
    for resource in shuffled_patients():
        assert road.good(resource, False)
    assert not road.good(patient(gender="x"), False)
    assert road.compiled == 0
    clock.now += 1 / shapes.SHARE - 1
    assert road.good(patient(), False)
    assert road.compiled == 0
    clock.now += 10
    assert road.good(patient(), False)
    assert road.compiled == 1


def test_number_of_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MAX_SHAPES", 20)
    road = FastRoad(PLAN)
    for resource in shuffled_patients():
        assert road.good(resource, False)
        assert sum(map(len, road._shapes.values())) <= 20
    assert road.good(observation(), False)


def test_object_with_very_many_properties_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MAX_KEYS", 0)
    road = FastRoad(PLAN)
    assert road.good(patient(), False)
    assert not road.good(patient(gender="x"), False)
    assert road.compiled == 0


def test_remembered_values_are_bounded() -> None:
    validator = StructureValidator(load())
    for number in range(20_000):
        coding = {"system": f"http://x.org/{number}", "code": f"c{number}", "display": "x" * 100}
        assert validator.check(observation(code={"coding": [coding]})) == []
    for known in validator.road._known.values():
        assert len(known) <= 8192
        assert all(len(str(value)) <= 64 for value in known)


def test_threads_come_to_the_same_answers() -> None:
    validator = StructureValidator(load())
    good = [patient(), observation(), condition(), *shuffled_patients()]
    bad = [patient(gender="x"), observation(status=None), condition(subject={"reference": "x y"})]

    def work(number: int) -> bool:
        return all(not validator.check(resource) for resource in good) and all(map(validator.check, bad))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))


def test_objects_that_differ_from_the_sample_are_checked_by_their_own_shape() -> None:
    road = FastRoad(PLAN)
    assert road.good(patient(), False)
    assert road.good(patient(), False)
    for name in ({"text": "A"}, {"given": ["A"], "use": "usual"}, {"family": "A", "given": ["B"], "use": "official"}):
        assert road.good(patient(name=[name]), False)
    for name in ({"family": "A", "given": ["B"], "use": 5}, {"text": " "}, ["use", "family", "given"], "use", 3, None):
        assert not road.good(patient(name=[name]), False)
