"""`_sort`: by any parameter, many keys, both directions, resources without a value last.

Spec: https://hl7.org/fhir/R4/search.html#sort
"""

import pytest

from tests.conformance.storage.library import UCUM
from tests.conformance.storage.world import START, Clock, World, observation, patient

ROWS = [
    ("_sort=_id", "a b c d"),
    ("_sort=-_id", "d c b a"),
    ("_sort=_lastUpdated", "d c b a"),
    ("_sort=-_lastUpdated", "a b c d"),
    ("_sort=birthdate", "b c a d"),
    ("_sort=-birthdate", "a c b d"),
    ("_sort=family", "a c b d"),
    ("_sort=-family", "b c a d"),
    ("_sort=gender,_id", "c a b d"),
    ("_sort=gender,-_id", "c b a d"),
    ("_sort=-gender,_id", "a b c d"),
    ("_sort=gender,birthdate", "c b a d"),
    ("_sort=active,family", "a b c d"),
    ("_sort=organization,_id", "b a c d"),
    ("_sort=_profile,_id", "c a b d"),
]


async def people(world: World, clock: Clock) -> None:
    """Written d, c, b, a."""
    rows = [
        patient("d"),
        patient("c", gender="female", birthDate="1971-05", name=[{"family": "Éden"}], meta={"profile": ["http://p"]}),
        patient(
            "b",
            gender="male",
            active=True,
            birthDate="1970",
            name=[{"family": "Zed"}, {"family": "Émil"}],
            managingOrganization={"reference": "Organization/o1"},
        ),
        patient("a", gender="male", active=False, birthDate="1980-01-01", name=[{"family": "Adam"}]),
    ]
    for n, row in enumerate(rows):
        clock.now = START + n * 1_000
        await world.put(row)


@pytest.mark.parametrize(("query", "expected"), ROWS)
async def test_rows_stand_in_the_order_asked_for(world: World, clock: Clock, query: str, expected: str) -> None:
    await people(world, clock)
    assert await world.ids(f"Patient?{query}") == expected.split()


@pytest.mark.parametrize(("query", "expected"), ROWS)
async def test_pages_keep_the_order(world: World, clock: Clock, query: str, expected: str) -> None:
    await people(world, clock)
    assert await world.ids(f"Patient?{query}&_count=1") == expected.split()
    assert await world.ids(f"Patient?{query}&_count=3") == expected.split()


async def test_of_many_values_the_first_in_the_direction_counts(world: World) -> None:
    await world.put(patient("x", name=[{"family": "A"}, {"family": "Z"}]), patient("y", name=[{"family": "M"}]))
    assert await world.ids("Patient?_sort=family") == ["x", "y"]
    assert await world.ids("Patient?_sort=-family") == ["x", "y"]


async def test_equal_rows_stand_newest_first_only_where_the_first_key_descends(world: World) -> None:
    for id_ in "abc":
        await world.put(patient(id_, gender="male"))
    assert await world.ids("Patient?_sort=gender") == ["a", "b", "c"]
    assert await world.ids("Patient?_sort=-gender") == ["c", "b", "a"]
    assert await world.ids("Patient?_sort=-gender&_count=1") == ["c", "b", "a"]


async def test_quantities_are_sorted_in_one_unit(world: World) -> None:
    def weight(id_: str, value: float, unit: str) -> dict[str, object]:
        return observation(id_, valueQuantity={"value": value, "system": UCUM, "code": unit})

    await world.put(weight("a", 70, "kg"), weight("b", 100, "g"), weight("c", 5_000, "mg"))
    assert await world.ids("Observation?_sort=value-quantity") == ["c", "b", "a"]
    assert await world.ids("Observation?_sort=-value-quantity&_count=1") == ["a", "b", "c"]


async def test_numbers_and_dates_are_no_text(world: World) -> None:
    def risk(id_: str, value: float) -> dict[str, object]:
        return {
            "resourceType": "RiskAssessment",
            "id": id_,
            "status": "final",
            "subject": {"reference": "Patient/a"},
            "prediction": [{"probabilityDecimal": value}],
        }

    await world.put(risk("a", 9), risk("b", 10), risk("c", -3))
    assert await world.ids("RiskAssessment?_sort=probability") == ["c", "a", "b"]
    assert await world.ids("RiskAssessment?_sort=-probability&_count=2") == ["b", "a", "c"]


async def test_periods_are_sorted_by_their_start_or_from_their_end(world: World) -> None:
    def stay(id_: str, **period: str) -> dict[str, object]:
        return {
            "resourceType": "Encounter",
            "id": id_,
            "status": "finished",
            "class": {"code": "AMB"},
            "period": period,
        }

    await world.put(stay("a", start="2020-01-01", end="2020-12-31"), stay("b", start="2020-02-01", end="2020-03-01"))
    assert await world.ids("Encounter?_sort=date") == ["a", "b"]
    assert await world.ids("Encounter?_sort=-date") == ["a", "b"]


async def test_sorting_joins_a_filter(world: World, clock: Clock) -> None:
    await people(world, clock)
    assert await world.ids("Patient?gender=male&_sort=family") == ["a", "b"]
    assert await world.ids("Patient?gender:not=male&_sort=-_id") == ["d", "c"]
    assert await world.ids("Patient?name=e&_sort=birthdate&_count=1") == ["b", "c"]


async def test_types_are_sorted_together(world: World, clock: Clock) -> None:
    clock.now = START
    await world.put(patient("b"), observation("c"))
    clock.now = START + 1_000
    await world.put(patient("d"), observation("a"))
    assert await world.ids("?_type=Patient,Observation&_sort=_id") == ["a", "b", "c", "d"]
    assert set((await world.ids("?_type=Patient,Observation&_sort=-_lastUpdated"))[:2]) == {"a", "d"}
