"""`_contained`: searching for resources inside others.

Spec: https://hl7.org/fhir/R4/search.html#contained
"""

from fhir_server.search.query import NOTHING, Visibility
from tests.conformance.storage.world import Resource, World, observation, patient


def holder(id_: str, *inner: Resource, **elements: object) -> Resource:
    return observation(id_, contained=list(inner), **elements)


async def filled(world: World) -> None:
    await world.put(
        patient("male", gender="male"),
        holder("one", patient("in", gender="male", birthDate="1970"), subject={"reference": "#in"}),
        holder(
            "two",
            patient("x", gender="male"),
            patient("y", gender="male"),
            patient("z", gender="female"),
            subject={"reference": "#x"},
        ),
        observation("none", subject={"reference": "Patient/male"}),
    )


def shown(page: object) -> list[tuple[str, tuple[str, str] | None]]:
    return sorted(
        ((v.key.id, c) for v, c in zip(page.versions, page.containers, strict=True)),  # type: ignore[attr-defined]
        key=str,
    )


async def test_contained_resources_are_not_found_by_default(world: World) -> None:
    await filled(world)
    page = await world.search("Patient?gender=male")
    assert [v.key.id for v in page.versions] == ["male"]
    assert page.containers == ()


async def test_true_finds_contained_ones_alone_with_their_containers(world: World) -> None:
    await filled(world)
    page = await world.search("Patient?gender=male&_contained=true")
    assert shown(page) == [("one", ("Patient", "in")), ("two", ("Patient", "x")), ("two", ("Patient", "y"))]
    assert {v.key.type for v in page.versions} == {"Observation"}


async def test_both_finds_both(world: World) -> None:
    await filled(world)
    page = await world.search("Patient?gender=male&_contained=both")
    assert sorted(v.key.id for v in page.versions) == ["male", "one", "two", "two"]
    assert shown(page)[0] == ("male", None)


async def test_local_ids_and_other_values_are_those_of_the_contained_resource(world: World) -> None:
    await filled(world)
    assert shown(await world.search("Patient?_id=in&_contained=true")) == [("one", ("Patient", "in"))]
    assert shown(await world.search("Patient?birthdate=1970&_contained=true")) == [("one", ("Patient", "in"))]
    assert shown(await world.search("Observation?status=final&_contained=true")) == []


async def test_pages_of_contained_matches_join(world: World) -> None:
    await filled(world)
    for sort in ("", "&_sort=_id", "&_sort=-birthdate"):
        pages = await world.pages(f"Patient?gender=male&_contained=both&_count=1{sort}")
        found = [pair for page in pages for pair in shown(page)]
        assert len(found) == len(set(found)) == 4, sort


async def test_contained_matches_are_counted(world: World) -> None:
    await filled(world)
    page = await world.search("Patient?gender=male&_contained=true&_total=accurate&_count=1")
    assert page.total == 3


async def test_whoever_may_not_see_the_container_sees_nothing_in_it(world: World) -> None:
    await filled(world)
    world.visibility = Visibility(by_type={"Observation": NOTHING})
    assert shown(await world.search("Patient?gender=male&_contained=true")) == []
    assert shown(await world.search("Patient?gender=male&_contained=both")) == [("male", None)]


async def test_a_deleted_or_superseded_container_holds_nothing(world: World) -> None:
    await filled(world)
    await world.put(observation("one"), observation("two"))
    assert shown(await world.search("Patient?gender=male&_contained=true")) == []


async def test_chains_lead_into_the_container_and_nowhere_else(world: World) -> None:
    await world.put(
        holder("one", patient("p", gender="male"), subject={"reference": "#p"}),
        holder("two", patient("p", gender="female"), subject={"reference": "#p"}),
        patient("p", gender="other"),
        observation("three", subject={"reference": "Patient/p"}),
    )
    assert await world.found("Observation?subject:Patient.gender=male") == {"one"}
    assert await world.found("Observation?subject:Patient.gender=female") == {"two"}
    assert await world.found("Observation?subject:Patient.gender=other") == {"three"}


async def test_contained_resources_are_not_referred_to_from_outside(world: World) -> None:
    await filled(world)
    assert await world.found("Patient?_has:Observation:subject:status=final") == {"male"}
    assert await world.found("Observation?subject=Patient/in") == set()
