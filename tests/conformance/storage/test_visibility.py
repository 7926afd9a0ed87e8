"""A restricted search answers as if what may not be seen were not there."""

from collections.abc import Mapping

import pytest

from fhir_server.search import query as q
from fhir_server.search.query import Visibility
from tests.conformance.storage.engines import EACH_TEST
from tests.conformance.storage.library import LIBRARY
from tests.conformance.storage.test_search_table import TABLE, Expander
from tests.conformance.storage.world import World, open_world

WITHOUT_ANN = q.Not(q.Ids(("ann",)))
MALE = q.Token("gender", (q.TokenValue(None, "male"),))
OF_BOB = q.Reference("subject", (q.ReferenceValue("Patient", "bob"),))

CASES: list[tuple[Mapping[str, q.Node], str, str]] = [
    ({"Patient": WITHOUT_ANN}, "Patient", "bob cid dan"),
    ({"Patient": WITHOUT_ANN}, "Patient?_id=ann", ""),
    ({"Patient": WITHOUT_ANN}, "Patient?gender:not=male", "cid dan"),
    ({"Patient": WITHOUT_ANN}, "Patient?_filter=gender eq female or gender eq male", "bob"),
    ({"Patient": WITHOUT_ANN}, "Observation?subject:Patient.name=ann", ""),
    ({"Patient": WITHOUT_ANN}, "Observation?patient.organization.name=general", ""),
    ({"Organization": q.NOTHING}, "Observation?patient.organization.name=general", ""),
    ({"Organization": q.NOTHING}, "Patient?organization=Organization/hospital", "ann"),
    ({"Observation": q.NOTHING}, "Patient?_has:Observation:patient:code=29463-7", ""),
    ({"Observation": OF_BOB}, "Patient?_has:Observation:patient:code=29463-7", "bob"),
    ({"AuditEvent": q.NOTHING}, "Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=Patient/bob", ""),
    ({"Patient": WITHOUT_ANN}, "?_id=ann,doc", "doc"),
    ({"Patient": MALE}, "?_type=Patient,Organization", "bob hospital ward"),
    ({"Observation": OF_BOB}, "Patient/ann/Observation?", ""),
    ({"Observation": OF_BOB}, "Observation?_list=mine", ""),
    ({"List": q.NOTHING}, "Observation?_list=mine", ""),
    ({"Patient": WITHOUT_ANN}, "Patient?_text=quick OR lazy", "bob"),
    (
        {"Patient": q.Has("Observation", "subject", q.Token("status", (q.TokenValue(None, "final"),)))},
        "Patient",
        "ann bob",
    ),
    ({"Observation": q.Chain("subject", "Patient", MALE)}, "Observation", "grams coded"),
]


@pytest.mark.parametrize(("by_type", "url", "expected"), CASES, ids=lambda value: str(value)[:70])
async def test_what_may_not_be_seen_is_not_there(
    world: World, by_type: Mapping[str, q.Node], url: str, expected: str
) -> None:
    await world.put(*LIBRARY)
    world.visibility = Visibility(by_type=by_type)
    assert await world.found(url) == set(expected.split())
    assert await world.store.count(world.parse(url).search) == len(expected.split())


async def test_a_default_holds_for_types_without_an_entry(world: World) -> None:
    await world.put(*LIBRARY)
    world.visibility = Visibility(default=q.NOTHING, by_type={"Patient": q.EVERYTHING})
    assert await world.found("Patient") == {"ann", "bob", "cid", "dan"}
    assert await world.found("Observation") == set()
    assert await world.found("?_lastUpdated=gt2000") == {"ann", "bob", "cid", "dan"}


async def test_totals_count_what_may_be_seen(world: World) -> None:
    await world.put(*LIBRARY)
    world.visibility = Visibility(by_type={"Patient": MALE})
    for url in ("Patient?_total=accurate", "Patient?_summary=count", "Patient"):
        assert (await world.search(url)).total in (None, 1)
    assert (await world.search("Patient?_summary=count")).total == 1


HIDDEN = {"ann", "grams", "enc", "hospital"}


@pytest.mark.parametrize("engine_name", EACH_TEST)
async def test_every_search_of_the_table_answers_as_a_store_without_the_hidden(
    engine_name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = await open_world(engine_name, tmp_path_factory.mktemp("whole"))
    rest = await open_world(engine_name, tmp_path_factory.mktemp("rest"))
    whole.expander = rest.expander = Expander()
    await whole.put(*LIBRARY)
    await rest.put(*(resource for resource in LIBRARY if resource["id"] not in HIDDEN))
    whole.visibility = Visibility(default=q.Not(q.Ids(tuple(HIDDEN))))
    urls = [url for rows in TABLE.values() for url, _ in rows]
    differing = [url for url in urls if await whole.found(url) != await rest.found(url)]
    assert differing == []
    await whole.store.close()
    await rest.store.close()
