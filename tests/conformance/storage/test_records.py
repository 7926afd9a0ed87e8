"""Records: collections of JSON values with declared fields, committed with resources."""

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import (
    Collection,
    RecordChange,
    RecordChanged,
    RecordField,
    Store,
    VersionChanged,
    Where,
)
from tests.conformance.storage.world import World, change, patient

TOKENS = Collection(
    "auth.tokens",
    (
        RecordField("name", unique=True),
        RecordField("age", "integer"),
        RecordField("weight", "real"),
        RecordField("patient"),
    ),
    patient="patient",
)


def put(key: str, expected: int | None = None, **value: object) -> RecordChange:
    return RecordChange("auth.tokens", key, value, expected)


async def filled(store: Store) -> None:
    await store.declare(TOKENS)
    await store.commit(
        (),
        [
            put("k1", name="anna", age=30, weight=60.5),
            put("k2", name="bert", age=25, weight=80.0),
            put("k3", name="anton", age=30),
            put("k4", name="Zed"),
        ],
    )


async def keys(store: Store, *where: Where, **options: object) -> list[str]:
    found = await store.records.find("auth.tokens", where, **options)  # type: ignore[arg-type]
    return [record.key for record in found]


async def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    await store.declare(TOKENS)
    value = {"name": "x", "more": {"deep": [1, 2.5, None, True, "Zoë 😀"]}}
    await store.commit((), [RecordChange("auth.tokens", "k", value)])
    record = await store.records.get("auth.tokens", "k")
    assert record is not None
    assert (record.key, record.value, record.revision) == ("k", value, 1)


async def test_what_was_never_written_is_none(store: Store) -> None:
    await store.declare(TOKENS)
    assert await store.records.get("auth.tokens", "k") is None
    assert await keys(store) == []


async def test_each_write_is_a_revision(store: Store) -> None:
    await store.declare(TOKENS)
    for n in range(3):
        await store.commit((), [put("k", name=f"n{n}")])
    record = await store.records.get("auth.tokens", "k")
    assert record is not None and (record.revision, record.value["name"]) == (3, "n2")


async def test_none_deletes_and_revisions_begin_again(store: Store) -> None:
    await filled(store)
    await store.commit((), [RecordChange("auth.tokens", "k1", None)])
    assert await store.records.get("auth.tokens", "k1") is None
    assert "k1" not in await keys(store, Where("name", "=", "anna"))
    await store.commit((), [put("k1", expected=0, name="new")])
    record = await store.records.get("auth.tokens", "k1")
    assert record is not None and record.revision == 1


@pytest.mark.parametrize(("expected", "holds"), [(0, False), (1, True), (2, False), (None, True)])
async def test_an_expected_revision_must_hold(store: Store, expected: int | None, holds: bool) -> None:
    await filled(store)
    if holds:
        await store.commit((), [put("k1", expected=expected, name="new")])
    else:
        with pytest.raises(RecordChanged):
            await store.commit((), [put("k1", expected=expected, name="new")])
    record = await store.records.get("auth.tokens", "k1")
    assert record is not None and record.value["name"] == ("new" if holds else "anna")


async def test_expected_zero_lets_a_new_key_pass(store: Store) -> None:
    await filled(store)
    await store.commit((), [put("k9", expected=0, name="new")])


async def test_a_unique_value_is_taken_once(store: Store) -> None:
    await filled(store)
    with pytest.raises(RecordChanged):
        await store.commit((), [put("k9", name="anna")])
    assert await store.records.get("auth.tokens", "k9") is None


async def test_a_unique_value_is_taken_once_within_a_commit(store: Store) -> None:
    await store.declare(TOKENS)
    with pytest.raises(RecordChanged):
        await store.commit((), [put("k1", name="same"), put("k2", name="same")])
    assert await keys(store) == []


async def test_a_record_keeps_its_own_unique_value(store: Store) -> None:
    await filled(store)
    await store.commit((), [put("k1", name="anna", age=31)])


async def test_a_unique_value_is_free_after_a_delete(store: Store) -> None:
    await filled(store)
    await store.commit((), [RecordChange("auth.tokens", "k1", None)])
    await store.commit((), [put("k9", name="anna")])


async def test_records_without_the_unique_field_do_not_collide(store: Store) -> None:
    await store.declare(TOKENS)
    await store.commit((), [put("k1", age=1), put("k2", age=1)])


WHERE = [
    (Where("name", "=", "anna"), ["k1"]),
    (Where("age", "=", 30), ["k1", "k3"]),
    (Where("age", "<", 30), ["k2"]),
    (Where("age", "<=", 30), ["k1", "k2", "k3"]),
    (Where("age", ">", 25), ["k1", "k3"]),
    (Where("age", ">=", 25), ["k1", "k2", "k3"]),
    (Where("weight", ">", 60.5), ["k2"]),
    (Where("name", "in", ("anna", "bert", "nobody")), ["k1", "k2"]),
    (Where("name", "in", ()), []),
    (Where("name", "prefix", "an"), ["k1", "k3"]),
    (Where("name", "prefix", "z"), []),
    (Where("name", "=", "ANNA"), []),
]


@pytest.mark.parametrize(("where", "expected"), WHERE, ids=lambda value: str(value)[:60])
async def test_where(store: Store, where: Where, expected: list[str]) -> None:
    await filled(store)
    assert await keys(store, where) == expected


async def test_conditions_are_joined(store: Store) -> None:
    await filled(store)
    assert await keys(store, Where("age", "=", 30), Where("name", "prefix", "ant")) == ["k3"]


async def test_order_by_a_field_with_those_without_it_last(store: Store) -> None:
    await filled(store)
    assert await keys(store, order="age") == ["k2", "k1", "k3", "k4"]
    assert await keys(store, order="-age") == ["k1", "k3", "k2", "k4"]
    assert await keys(store, order="name") == ["k4", "k1", "k3", "k2"]


async def test_order_by_key_and_going_on_after_one(store: Store) -> None:
    await filled(store)
    assert await keys(store, limit=2) == ["k1", "k2"]
    assert await keys(store, limit=2, after="k2") == ["k3", "k4"]
    assert await keys(store, order="-key", limit=2) == ["k4", "k3"]


async def test_a_field_that_was_not_declared_is_an_error(store: Store) -> None:
    await filled(store)
    with pytest.raises(KeyError):
        await keys(store, Where("more", "=", 1))


async def test_a_collection_that_was_not_declared_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError):
        await store.commit((), [RecordChange("nothing", "k", {})])


async def test_declaring_again_keeps_the_records(store: Store) -> None:
    await filled(store)
    await store.declare(TOKENS)
    assert len(await keys(store)) == 4


async def test_records_and_resources_are_written_together_or_not_at_all(world: World, store: Store) -> None:
    await store.declare(TOKENS)
    await world.put(patient("a"))
    with pytest.raises(VersionChanged):
        await store.commit([change(patient("a", gender="male"), expected=9)], [put("k", name="x")])
    assert await store.records.get("auth.tokens", "k") is None
    with pytest.raises(RecordChanged):
        await store.commit([change(patient("b"))], [put("k", expected=4, name="x")])
    assert await store.read(ResourceKey("Patient", "b")) is None
    await store.commit([change(patient("b"))], [put("k", name="x")])
    assert await store.read(ResourceKey("Patient", "b")) is not None
    assert await store.records.get("auth.tokens", "k") is not None


async def test_a_value_that_was_read_cannot_change_the_record(store: Store) -> None:
    await filled(store)
    record = await store.records.get("auth.tokens", "k1")
    assert record is not None
    record.value["name"] = "changed"  # type: ignore[index]
    again = await store.records.get("auth.tokens", "k1")
    assert again is not None and again.value["name"] == "anna"


async def test_a_list_is_several_values_of_a_field(store: Store) -> None:
    await filled(store)
    await store.commit((), [put("k5", name=["berta", "b"], age=[1, 2, 2])])
    assert await keys(store, Where("name", "prefix", "bert")) == ["k2", "k5"]
    assert await keys(store, Where("age", "=", 2)) == ["k5"]
    await store.commit((), [put("k5", name=["c"])])
    assert await keys(store, Where("age", "=", 2)) == []


async def test_the_key_is_a_field_too(store: Store) -> None:
    await filled(store)
    await store.commit((), [put("l1"), put("k31")])
    assert await keys(store, Where("key", "prefix", "k3")) == ["k3", "k31"]
    assert await keys(store, Where("key", "in", ["k2", "l1"]), Where("age", "=", 25)) == ["k2"]
    assert await keys(store, Where("key", ">", "k4")) == ["l1"]


async def test_an_offset_leaves_out_the_first(store: Store) -> None:
    await filled(store)
    assert await keys(store, offset=1, limit=2) == ["k2", "k3"]
    assert await keys(store, order="-name", offset=3, limit=5) == ["k4"]
    assert await keys(store, Where("age", ">", 1), order="age", offset=1) == ["k1", "k3"]
