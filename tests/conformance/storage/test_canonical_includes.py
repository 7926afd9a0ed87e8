"""Includes by canonical URLs, which are asked of every engine as searches of one instant."""

from types import SimpleNamespace
from typing import Any, cast

from fhir_server.context import Context
from fhir_server.interactions.canonicals import with_canonicals
from fhir_server.search.query import Ids, Not, Visibility
from tests.conformance.http.test_canonical_includes import LIBRARY, QR, ROWS
from tests.conformance.storage.world import BASE, EXTRACTOR, World


async def _included(world: World, url: str, *later: Any) -> list[str]:
    """Return the ids of what comes along; `later` is written when the page was read."""
    search = world.parse(url).search
    page = await world.store.search(search)
    if later:
        await world.put(*later)
    ctx = SimpleNamespace(
        parameters=EXTRACTOR.registry, extractor=EXTRACTOR, settings=world.settings, store=world.store, base=BASE,
        restriction=SimpleNamespace(visibility=world.visibility),
    )  # fmt: skip
    found = await with_canonicals(cast(Context, ctx), search, page)
    return sorted(version.key.id for version in found.included)


async def test_every_engine_finds_what_canonicals_name(world: World) -> None:
    await world.put(*LIBRARY)
    for url, expected in ROWS:
        assert await _included(world, url) == sorted((expected or "").split()), url
    world.visibility = Visibility(by_type={"Questionnaire": Not(Ids(("v2",)))})
    assert await _included(world, f"{QR}?_id=newest&_include={QR}:questionnaire") == ["v1"]


async def test_what_is_written_after_the_page_was_read_does_not_come_along(world: World) -> None:
    await world.put(*LIBRARY)
    await world.put({**LIBRARY[1], "title": "written last"})
    later = {**LIBRARY[0], "id": "later"}
    assert await _included(world, f"{QR}?_id=newest&_include={QR}:questionnaire", later) == ["v2"]
    assert await _included(world, f"{QR}?_id=newest&_include={QR}:questionnaire") == ["later"]
