"""What a commit may be made to depend on, and what it refuses with."""

import asyncio

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import (
    Condition,
    ConditionChanged,
    MissingTargets,
    StillReferenced,
    Store,
    VersionChanged,
)
from tests.conformance.storage.world import World, change, delete, observation, patient

A, B = ResourceKey("Patient", "a"), ResourceKey("Patient", "b")


async def test_expected_version_lets_the_write_pass(world: World, store: Store) -> None:
    await world.put(patient("a"))
    result = await store.commit([change(patient("a", gender="male"), expected=1)])
    assert result.written[0].changed


@pytest.mark.parametrize("expected", [0, 2, 7])
async def test_another_version_is_refused_and_the_current_one_named(world: World, store: Store, expected: int) -> None:
    await world.put(patient("a"))
    with pytest.raises(VersionChanged) as caught:
        await store.commit([change(patient("a", gender="male"), expected=expected)])
    assert (caught.value.key, caught.value.current) == (A, 1)


async def test_expected_version_of_what_does_not_exist_is_refused(store: Store) -> None:
    with pytest.raises(VersionChanged) as caught:
        await store.commit([change(patient("a"), expected=1)])
    assert caught.value.current == 0


async def test_expected_zero_lets_a_first_version_pass(store: Store) -> None:
    assert (await store.commit([change(patient("a"), expected=0)])).written[0].created


async def test_expected_zero_lets_a_deleted_resource_come_back(world: World, store: Store) -> None:
    await world.put(patient("a"))
    await store.commit([delete("Patient", "a")])
    assert (await store.commit([change(patient("a"), expected=0)])).written[0].created


async def test_expected_holds_for_a_deletion_too(world: World, store: Store) -> None:
    await world.put(patient("a"))
    with pytest.raises(VersionChanged):
        await store.commit([delete("Patient", "a", expected=4)])
    assert (await store.commit([delete("Patient", "a", expected=1)])).written[0].changed


async def test_expected_is_checked_though_the_content_is_the_same(world: World, store: Store) -> None:
    await world.put(patient("a"))
    with pytest.raises(VersionChanged):
        await store.commit([change(patient("a"), expected=3)])


async def test_a_condition_that_holds_lets_the_write_pass(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"))
    condition = Condition(world.parse("Patient?gender=male").search, frozenset({A}))
    assert (await store.commit([change(patient("b"), conditions=(condition,))])).written[0].created


async def test_a_condition_that_finds_more_is_refused(world: World, store: Store) -> None:
    condition = Condition(world.parse("Patient?gender=male").search, frozenset())
    await world.put(patient("a", gender="male"))
    with pytest.raises(ConditionChanged):
        await store.commit([change(patient("b", gender="male"), conditions=(condition,))])
    assert await store.read(B) is None


async def test_a_condition_that_finds_less_is_refused(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"))
    condition = Condition(world.parse("Patient?gender=male").search, frozenset({A}))
    await store.commit([delete("Patient", "a")])
    with pytest.raises(ConditionChanged):
        await store.commit([change(patient("b"), conditions=(condition,))])


async def test_a_condition_looks_at_all_matches_whatever_the_page_size(world: World, store: Store) -> None:
    await world.put(*(patient(f"p{n}", gender="male") for n in range(5)))
    keys = frozenset(ResourceKey("Patient", f"p{n}") for n in range(5))
    condition = Condition(world.parse("Patient?gender=male&_count=2").search, keys)
    assert (await store.commit([change(patient("b"), conditions=(condition,))])).written[0].created


async def test_a_condition_with_a_chain_is_evaluated(world: World, store: Store) -> None:
    await world.put(patient("a", name=[{"family": "Doe"}]), observation("o", subject={"reference": "Patient/a"}))
    condition = Condition(
        world.parse("Observation?subject:Patient.name=doe").search, frozenset({ResourceKey("Observation", "o")})
    )
    assert (await store.commit([change(patient("b"), conditions=(condition,))])).written[0].created
    await world.put(patient("a", name=[{"family": "Roe"}]))
    with pytest.raises(ConditionChanged):
        await store.commit([change(patient("c"), conditions=(condition,))])


async def test_of_many_conditional_creates_at_once_one_wins(world: World, store: Store) -> None:
    identifier = [{"system": "urn:s", "value": "1"}]
    condition = Condition(world.parse("Patient?identifier=urn:s|1").search, frozenset())
    changes = [change(patient(f"p{n}", identifier=identifier), conditions=(condition,)) for n in range(10)]
    outcomes = await asyncio.gather(*(store.commit([each]) for each in changes), return_exceptions=True)
    assert sum(isinstance(outcome, ConditionChanged) for outcome in outcomes) == 9
    assert len(await world.found("Patient?identifier=urn:s|1")) == 1


async def test_of_many_updates_of_one_version_one_wins(world: World, store: Store) -> None:
    await world.put(patient("a"))
    changes = [change(patient("a", multipleBirthInteger=n), expected=1) for n in range(10)]
    outcomes = await asyncio.gather(*(store.commit([each]) for each in changes), return_exceptions=True)
    assert sum(isinstance(outcome, VersionChanged) for outcome in outcomes) == 9
    version = await store.read(A)
    assert version is not None and version.version == 2


async def test_many_writers_of_one_resource_lose_no_version(world: World, store: Store) -> None:
    changes = [change(patient("a", multipleBirthInteger=n)) for n in range(20)]
    results = await asyncio.gather(*(store.commit([each]) for each in changes))
    assert sorted(r.written[0].version.version for r in results if r.written[0].version) == list(range(1, 21))
    assert sum(r.written[0].created for r in results) == 1


async def test_a_required_target_that_is_missing_is_named(store: Store) -> None:
    made = change(observation("o", subject={"reference": "Patient/a"}), requires=(A,))
    with pytest.raises(MissingTargets) as caught:
        await store.commit([made])
    assert caught.value.targets == (A,)
    assert caught.value.key == ResourceKey("Observation", "o")


async def test_a_required_target_may_come_with_the_same_commit(store: Store) -> None:
    made = change(observation("o", subject={"reference": "Patient/a"}), requires=(A,))
    assert len((await store.commit([made, change(patient("a"))])).written) == 2


async def test_a_required_target_may_not_go_with_the_same_commit(world: World, store: Store) -> None:
    await world.put(patient("a"))
    made = change(observation("o", subject={"reference": "Patient/a"}), requires=(A,))
    with pytest.raises(MissingTargets):
        await store.commit([made, delete("Patient", "a")])


async def test_a_deleted_target_is_missing(world: World, store: Store) -> None:
    await world.put(patient("a"))
    await store.commit([delete("Patient", "a")])
    with pytest.raises(MissingTargets):
        await store.commit([change(observation("o"), requires=(A,))])


async def test_what_is_referred_to_stays_if_asked(world: World, store: Store) -> None:
    await world.put(patient("a"), observation("o", subject={"reference": "Patient/a"}))
    with pytest.raises(StillReferenced) as caught:
        await store.commit([delete("Patient", "a", keep_referenced=True)])
    assert caught.value.key == A
    assert caught.value.referrers == (ResourceKey("Observation", "o"),)


async def test_what_is_referred_to_goes_if_not_asked(world: World, store: Store) -> None:
    await world.put(patient("a"), observation("o", subject={"reference": "Patient/a"}))
    assert (await store.commit([delete("Patient", "a")])).written[0].changed


async def test_what_only_itself_refers_to_goes(world: World, store: Store) -> None:
    await world.put(patient("a", link=[{"other": {"reference": "Patient/a"}, "type": "seealso"}]))
    assert (await store.commit([delete("Patient", "a", keep_referenced=True)])).written[0].changed


async def test_referrer_and_target_go_together(world: World, store: Store) -> None:
    await world.put(patient("a"), observation("o", subject={"reference": "Patient/a"}))
    changes = [delete("Patient", "a", keep_referenced=True), delete("Observation", "o", keep_referenced=True)]
    assert all(written.changed for written in (await store.commit(changes)).written)


async def test_a_referrer_that_lets_go_in_the_same_commit_does_not_hold(world: World, store: Store) -> None:
    await world.put(patient("a"), observation("o", subject={"reference": "Patient/a"}))
    await store.commit([delete("Patient", "a", keep_referenced=True), change(observation("o"))])


async def test_a_referrer_that_comes_in_the_same_commit_holds(world: World, store: Store) -> None:
    await world.put(patient("a"))
    made = change(observation("o", subject={"reference": "Patient/a"}))
    with pytest.raises(StillReferenced):
        await store.commit([delete("Patient", "a", keep_referenced=True), made])


async def test_a_superseded_or_deleted_referrer_does_not_hold(world: World, store: Store) -> None:
    subject = {"reference": "Patient/a"}
    await world.put(patient("a"), observation("o", subject=subject), observation("n", subject=subject))
    await world.put(observation("o"))
    await store.commit([delete("Observation", "n")])
    await store.commit([delete("Patient", "a", keep_referenced=True)])


async def test_a_contained_resource_holds_what_it_refers_to(world: World, store: Store) -> None:
    inner = {"resourceType": "Observation", "id": "i", "status": "final", "subject": {"reference": "Patient/a"}}
    await world.put(patient("a"), observation("o", contained=[inner], hasMember=[{"reference": "#i"}]))
    with pytest.raises(StillReferenced) as caught:
        await store.commit([delete("Patient", "a", keep_referenced=True)])
    assert caught.value.referrers == (ResourceKey("Observation", "o"),)


async def test_at_most_twenty_referrers_are_named(world: World, store: Store) -> None:
    await world.put(patient("a"), *(observation(f"o{n}", subject={"reference": "Patient/a"}) for n in range(25)))
    with pytest.raises(StillReferenced) as caught:
        await store.commit([delete("Patient", "a", keep_referenced=True)])
    assert len(caught.value.referrers) == 20


async def test_keeping_what_does_not_exist_is_no_fault(world: World, store: Store) -> None:
    await world.put(observation("o", subject={"reference": "Patient/a"}))
    assert not (await store.commit([delete("Patient", "a", keep_referenced=True)])).written[0].changed
