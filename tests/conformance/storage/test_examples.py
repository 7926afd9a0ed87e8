"""The official R4 examples: every search parameter finds the resources that it has a value in, on every engine."""

import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from fhir_server.model.json import decode, make_body, minify
from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import SortKey
from fhir_server.search.values import EARLIEST, LATEST
from fhir_server.storage.base import Change
from tests.conformance.storage.engines import LARGE
from tests.conformance.storage.world import EXTRACTOR, World, extract, open_world
from tests.shared_data import shared_data

pytestmark = pytest.mark.asyncio(loop_scope="module")

Query = tuple[str, str]


def _escape(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


def _changes() -> Iterator[Change]:
    seen: set[ResourceKey] = set()
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".json"):
                continue
            raw = minify(archive.read(name))
            resource = decode(raw)
            key = ResourceKey(resource["resourceType"], resource.get("id", ""))
            if key.type in EXTRACTOR.registry.types and key.id and key not in seen:
                seen.add(key)
                body = make_body(raw, key)
                yield Change(key, "PUT", body, extract(key.type, body.data))


CHANGES = tuple(_changes())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worlds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, World]]:
    """Every engine with all examples."""
    opened = {name: await open_world(name, tmp_path_factory.mktemp(name), max_page_size=2_000) for name in LARGE}
    for world in opened.values():
        for start in range(0, len(CHANGES), 100):
            await world.store.commit(CHANGES[start : start + 100])
    yield opened
    for world in opened.values():
        await world.store.close()


def _when(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def _tokens(entries: IndexEntries) -> Iterator[Query]:
    for param, system, code in entries.tokens:
        if param.endswith(":of-type"):
            yield param, f"{_of_type(system)}|{_escape(code)}"
        elif code and param != "_id":
            yield param, f"{_escape(system or '')}|{_escape(code)}"


def _of_type(system: str | None) -> str:
    url, _, code = (system or "").rpartition("|")
    return f"{_escape(url)}|{_escape(code)}"


def _intervals(entries: IndexEntries) -> Iterator[Query]:
    for param, low, high in entries.dates:
        if low > EARLIEST:
            yield param, f"ge{_when(low)}" if high == LATEST else f"ap{_when(low)}"
    for param, number, end in entries.numbers:
        if number == end:
            yield param, f"{number:f}"
    for param, number, end, system, code, _ in entries.quantities:
        if number == end:
            yield param, f"ge{number:f}|{_escape(system)}|{_escape(code)}"


def _others(entries: IndexEntries) -> Iterator[Query]:
    for param, folded, original in entries.strings:
        if param.endswith(":text"):
            yield param, _escape(folded)
        else:
            yield f"{param}:exact", _escape(original)
            yield param, _escape(folded[:20])
    yield from ((param, _escape(uri)) for param, uri in entries.uris)
    for param, type_, id_, url, version in entries.references:
        if url and ":" in url:
            yield param, _escape(url if version is None else f"{url}|{version}").replace("\\|", "|")
        elif type_ in EXTRACTOR.registry.types:
            yield param, f"{type_}/{id_}"
    for param, latitude, longitude in entries.positions:
        yield param, f"{latitude}|{longitude}|1|km"


def _queries(entries: IndexEntries) -> Iterator[Query]:
    for name, value in (*_tokens(entries), *_intervals(entries), *_others(entries)):
        if value.strip() and not value.startswith("|"):
            yield name, value


def _cases() -> dict[tuple[str, str], tuple[str, ResourceKey]]:
    """One value for each parameter of each type, with a resource that has it."""
    cases: dict[tuple[str, str], tuple[str, ResourceKey]] = {}
    for change in CHANGES:
        for name, value in _queries(change.entries):
            if _may_be_asked(change.key.type, name, value):
                cases.setdefault((change.key.type, name), (value, change.key))
    return cases


def _may_be_asked(type_: str, name: str, value: str) -> bool:
    """Tell whether a value can stand in a search: `Bundle.composition` gives what is no Composition too."""
    if name.startswith("~"):
        return False  # links to patients are for restrictions
    parameter = EXTRACTOR.registry.get(type_, name)
    if parameter is None or parameter.type != "reference" or not parameter.targets:
        return True
    target = value.partition("/")[0]
    return target not in EXTRACTOR.registry.types or target in parameter.targets


CASES = _cases()


async def test_every_parameter_finds_what_it_has_a_value_in(worlds: dict[str, World]) -> None:
    missed = []
    for (type_, name), (value, key) in CASES.items():
        answers = {engine: await _found(world, type_, name, value) for engine, world in worlds.items()}
        if any(key not in found for found in answers.values()) or len(set(map(frozenset, answers.values()))) > 1:
            missed.append((type_, name, value, key.id, {engine: len(found) for engine, found in answers.items()}))
    assert missed == [], "\n".join(map(str, missed))
    assert len(CASES) > 1_500


async def _found(world: World, type_: str, name: str, value: str) -> set[ResourceKey]:
    page = await world.search(f"{type_}?{quote(name, safe=':')}={quote(value)}&_count=2000")
    return {version.key for version in page.versions}


async def test_negations_and_presence_agree(worlds: dict[str, World]) -> None:
    differing: list[Any] = []
    codes = sorted({(type_, name.partition(":")[0]) for type_, name in CASES})
    for type_, code in codes:
        for present in ("true", "false"):
            answers = [await _found(world, type_, f"{code}:missing", present) for world in worlds.values()]
            if any(answer != answers[0] for answer in answers):
                differing.append((type_, code, present))
    assert differing == []


async def test_every_order_agrees(worlds: dict[str, World]) -> None:
    differing = []
    for type_, code in sorted({(type_, name) for type_, name in CASES if ":" not in name and name != "near"}):
        for descending in (False, True):
            search = world_search(worlds["memory"], type_, SortKey(code, descending))
            orders = [[v.key for v in (await world.store.search(search)).versions] for world in worlds.values()]
            if any(order != orders[0] for order in orders):
                differing.append((type_, code, descending))
    assert differing == []


def _links() -> dict[tuple[str, str], tuple[ResourceKey, ResourceKey]]:
    """One reference that can be followed for each reference parameter of each type."""
    existing = {change.key for change in CHANGES}
    links: dict[tuple[str, str], tuple[ResourceKey, ResourceKey]] = {}
    for change in CHANGES:
        for param, type_, id_, _, _ in change.entries.references:
            target = ResourceKey(type_ or "", id_ or "")
            if target in existing and _may_be_asked(change.key.type, param, str(target)):
                links.setdefault((change.key.type, param), (change.key, target))
    return links


async def test_every_reference_is_followed_forwards_and_backwards(worlds: dict[str, World]) -> None:
    missed = []
    for (type_, param), (source, target) in _links().items():
        for name, world in worlds.items():
            forward = await world.search(f"{type_}?{param}:{target.type}._id={target.id}&_count=2000")
            backward = await world.search(f"{target.type}?_has:{type_}:{param}:_id={source.id}&_count=2000")
            included = await world.search(f"{type_}?_id={source.id}&_include={type_}:{param}")
            reverse = await world.search(f"{target.type}?_id={target.id}&_revinclude={type_}:{param}")
            found = (
                source in {v.key for v in forward.versions},
                target in {v.key for v in backward.versions},
                target in {v.key for v in (*included.included, *included.versions)},
                source in {v.key for v in (*reverse.included, *reverse.versions)},
            )
            if not all(found):
                missed.append((name, type_, param, str(source), str(target), found))
    assert missed == [], "\n".join(map(str, missed))


def world_search(world: World, type_: str, key: SortKey) -> Any:
    return world.parse(f"{type_}?_sort={'-' if key.descending else ''}{key.param}&_count=2000").search
