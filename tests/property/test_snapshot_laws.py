"""Snapshots do not depend on the order of a differential, give themselves again, and survive any JSON."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.packages import core_library
from fhir_server.snapshot import SnapshotError, snapshot
from tests.unit.snapshot.profiles import R4, Json, by_id, profile

SLICING = {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}
SAID = (
    by_id("Observation", short="an observation"),
    by_id("Observation.status", max="1"),
    by_id("Observation.extension:first", type=[{"code": "Extension", "profile": [R4 + "data-absent-reason"]}]),
    by_id("Observation.extension:first.value[x]", short="why"),
    by_id("Observation.category", slicing=SLICING, min=1),
    by_id("Observation.category:lab", min=1, max="1", slicing=SLICING),
    by_id("Observation.category:lab.coding.system", min=1),
    by_id("Observation.category:lab/blood", max="1"),
    by_id("Observation.value[x]:valueQuantity", min=0),
    by_id("Observation.value[x]:valueQuantity.code", min=1),
    {"id": "Observation.effectiveDateTime", "path": "Observation.effectiveDateTime", "min": 1},
    by_id("Observation.component", slicing=SLICING),
    by_id("Observation.component:a.code.text", min=1),
    by_id("Observation.component:b"),
    by_id("Observation.component:b.referenceRange.low", min=1),
    by_id("Observation.subject.identifier.period.start", min=1),
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "*", "0", "a:b/c", "Observation.value[x]"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["code", "key", "url"]), inner),
    max_leaves=4,
)
NAMES = (
    *("id", "path", "sliceName", "slicing", "min", "max", "type", "base", "contentReference", "constraint", "binding"),
    *("short", "definition", "alias", "extension", "fixedCode", "patternCoding", "mustSupport", "condition"),
)


ALWAYS = tuple(element for element in SAID if "slicing" in element)
SOME = st.lists(st.sampled_from(SAID), unique_by=lambda element: str(element["id"])).map(
    lambda some: [*ALWAYS, *(element for element in some if element not in ALWAYS)]
)


def made(*elements: Json) -> list[Json]:
    return snapshot(profile("Observation", *elements), core_library())


def by_id_of(elements: list[Json]) -> dict[str, Json]:
    return {element["id"]: element for element in elements}


@given(st.permutations(SAID))
@settings(max_examples=50, deadline=None)
def test_the_order_of_a_differential_only_orders_its_slices(shuffled: list[Json]) -> None:
    assert by_id_of(made(*shuffled)) == by_id_of(made(*SAID))


@given(SOME)
@settings(max_examples=50, deadline=None)
def test_a_snapshot_said_as_differential_gives_itself(some: list[Json]) -> None:
    once = made(*some)
    assert made(*once) == once


@given(SOME)
@settings(max_examples=50, deadline=None)
def test_parents_and_slicers_come_before_what_is_theirs(some: list[Json]) -> None:
    seen: set[str] = set()
    for element in made(*some):
        above, _, last = element["id"].rpartition(".")
        assert not above or above in seen
        assert ":" not in last or f"{above}.{last.partition(':')[0]}" in seen
        assert element["id"] not in seen
        seen.add(element["id"])


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), JUNK) | JUNK, max_size=3), st.data())
@settings(max_examples=150, deadline=None)
def test_any_json_is_refused_or_survived(junk: list[Any], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(SAID)))
    element = dict(data.draw(st.sampled_from(SAID))) | data.draw(st.dictionaries(st.sampled_from(NAMES), JUNK))
    try:
        made(*SAID[:place], element, *junk)
    except SnapshotError as error:
        assert str(error)
