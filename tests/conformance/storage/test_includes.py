"""`_include` and `_revinclude`, once and iterated, with their limits.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from pathlib import Path

import pytest

from fhir_server.search.query import NOTHING, Ids, Not, Visibility
from tests.conformance.storage.library import LIBRARY
from tests.conformance.storage.world import World, observation, open_world, patient

ROWS = [
    ("Observation?_id=weight&_include=Observation:subject", "ann"),
    ("Observation?_id=weight&_include=Observation:subject:Patient", "ann"),
    ("Observation?_id=weight&_include=Observation:subject:Group", ""),
    ("Observation?_id=weight&_include=Observation:subject&_include=Observation:performer", "ann doc"),
    ("Observation?_id=weight&_include=Observation:*", "ann doc enc"),
    ("Observation?_id=weight&_include=*", "ann doc enc"),
    ("Observation?_id=weight&_include=Encounter:subject", ""),
    ("Observation?_id=weight&_include=Observation:subject&_include=Patient:organization", "ann"),
    ("Observation?_id=weight&_include=Observation:subject&_include:iterate=Patient:organization", "ann hospital"),
    (
        "Observation?_id=weight&_include:iterate=Observation:subject&_include:iterate=Patient:organization",
        "ann hospital",
    ),
    ("Observation?_id=grams&_include=Observation:subject&_include:iterate=Patient:organization", "bob ward"),
    (
        "Observation?_id=grams&_include=Observation:subject&_include:iterate=Patient:organization"
        "&_include:iterate=Organization:partof",
        "bob ward hospital",
    ),
    ("Observation?_id=grams&_include=Observation:subject&_include:recurse=Patient:organization", "bob ward"),
    ("Observation?_id=pressure&_include=Observation:has-member", "weight"),
    (
        "Observation?_id=pressure&_include:iterate=Observation:has-member&_include:iterate=Observation:performer",
        "weight doc",
    ),
    ("Observation?_id=coded&_include=Observation:subject", ""),
    ("Observation?_id=below&_include=Observation:subject", ""),
    ("Observation?_id=own&_include=Observation:subject", "ann"),
    ("Patient?_id=ann&_revinclude=Observation:subject", "weight pressure own"),
    ("Patient?_id=ann&_revinclude=Observation:subject&_revinclude=Encounter:subject", "weight pressure own enc"),
    ("Patient?_id=ann&_revinclude=Observation:*", "weight pressure own"),
    ("Patient?_id=ann&_revinclude=Observation:subject:Patient", "weight pressure own"),
    ("Patient?_id=ann&_revinclude=Observation:subject:Group", ""),
    (
        "Patient?_id=ann&_revinclude=Observation:subject&_revinclude:iterate=AuditEvent:entity",
        "weight pressure own audit",
    ),
    (
        "Patient?_id=ann&_revinclude=Observation:subject&_include:iterate=Observation:performer",
        "weight pressure own doc",
    ),
    ("Patient?_id=ann&_revinclude=*", "weight pressure own enc risk mine"),
    ("Practitioner?_id=doc&_revinclude=Patient:general-practitioner", "ann"),
    ("Patient?_id=cid&_include=Patient:link", "bob"),
]


@pytest.mark.parametrize(("url", "expected"), ROWS)
async def test_includes_bring(world: World, url: str, expected: str) -> None:
    await world.put(*LIBRARY)
    page = await world.search(url)
    assert sorted(v.key.id for v in page.included) == sorted(expected.split())
    assert page.notes == ()


async def test_what_is_a_match_is_not_included_again(world: World) -> None:
    await world.put(*LIBRARY)
    page = await world.search("Observation?_id=weight,pressure&_include=Observation:has-member")
    assert page.included == ()


async def test_what_several_matches_refer_to_comes_once(world: World) -> None:
    await world.put(patient("a"), *(observation(f"o{n}", subject={"reference": "Patient/a"}) for n in range(5)))
    page = await world.search("Observation?_include=Observation:subject&_include=Observation:patient")
    assert [v.key.id for v in page.included] == ["a"]


async def test_each_page_brings_what_its_own_rows_refer_to(world: World) -> None:
    await world.put(*(patient(f"p{n}") for n in range(3)))
    await world.put(*(observation(f"o{n}", subject={"reference": f"Patient/p{n}"}) for n in range(3)))
    pages = await world.pages("Observation?_include=Observation:subject&_sort=_id&_count=1")
    assert [[v.key.id for v in page.included] for page in pages] == [["p0"], ["p1"], ["p2"]]


async def test_a_circle_ends(world: World) -> None:
    await world.put(
        patient("a", link=[{"other": {"reference": "Patient/b"}, "type": "seealso"}]),
        patient("b", link=[{"other": {"reference": "Patient/a"}, "type": "seealso"}]),
    )
    page = await world.search("Patient?_id=a&_include:iterate=Patient:link&_revinclude:iterate=Patient:link")
    assert [v.key.id for v in page.included] == ["b"]


async def test_targets_that_are_missing_or_deleted_are_left_out(world: World) -> None:
    await world.put(observation("o", subject={"reference": "Patient/none"}))
    assert (await world.search("Observation?_include=Observation:subject")).included == ()


async def test_includes_cut_at_the_limit_say_so(engine: str, tmp_path: Path) -> None:
    world = await open_world(engine, tmp_path, max_includes=3)
    await world.put(patient("a"), *(observation(f"o{n}", subject={"reference": "Patient/a"}) for n in range(5)))
    page = await world.search("Patient?_revinclude=Observation:subject")
    assert len(page.included) == 3
    assert any("3" in note for note in page.notes)
    await world.store.close()


async def test_exactly_as_many_as_the_limit_are_not_cut(engine: str, tmp_path: Path) -> None:
    world = await open_world(engine, tmp_path, max_includes=3)
    await world.put(patient("a"), *(observation(f"o{n}", subject={"reference": "Patient/a"}) for n in range(3)))
    page = await world.search("Patient?_revinclude=Observation:subject")
    assert (len(page.included), page.notes) == (3, ())
    await world.store.close()


async def test_iteration_ends_after_its_rounds_and_says_so(engine: str, tmp_path: Path) -> None:
    world = await open_world(engine, tmp_path, max_iterations=2)
    organizations = [
        {"resourceType": "Organization", "id": f"o{n}", "partOf": {"reference": f"Organization/o{n + 1}"}}
        for n in range(9)
    ]
    await world.put(*organizations)
    page = await world.search("Organization?_id=o0&_include:iterate=Organization:partof")
    assert sorted(v.key.id for v in page.included) == ["o1", "o2", "o3"]
    assert any("2" in note for note in page.notes)
    await world.store.close()


async def test_what_may_not_be_seen_is_not_included(world: World) -> None:
    await world.put(*LIBRARY)
    world.visibility = Visibility(by_type={"Patient": Not(Ids(("ann",))), "Encounter": NOTHING})
    forward = await world.search("Observation?_id=weight&_include=*")
    assert sorted(v.key.id for v in forward.included) == ["doc"]
    backward = await world.search("Practitioner?_id=doc&_revinclude=*&_include:iterate=*")
    assert "ann" not in {v.key.id for v in backward.included}
    assert "enc" not in {v.key.id for v in backward.included}
