"""A store with what stands around it, so that a test can speak in resources and URLs."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.model.json import decode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.search.expander import CodeExpander
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import ParsedSearch, parse_search
from fhir_server.search.query import Cursor, Search, Visibility
from fhir_server.settings import Settings
from fhir_server.storage.base import Change, CommitResult, Page, Store
from tests.conformance.storage.engines import ENGINES, Bench

BASE = "http://example.org/fhir"
START = 1_700_000_000_000
Resource = dict[str, Any]

EXTRACTOR = Extractor(ParameterRegistry.standard())


@dataclass(slots=True)
class Clock:
    """A clock that a test moves."""

    now: int = START

    def __call__(self) -> int:
        return self.now


def extract(type_: str, body: bytes) -> IndexEntries:
    """Return the index entries of a stored body."""
    return EXTRACTOR.extract(type_, decode(body), own_base=BASE)


def change(resource: Resource, method: str = "PUT", **fields: Any) -> Change:
    """Return the change that writes a resource."""
    key = ResourceKey(resource["resourceType"], resource["id"])
    body = make_body(json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode(), key)
    return Change(key, method, body, extract(key.type, body.data), **fields)  # type: ignore[arg-type]


def delete(type_: str, id_: str, **fields: Any) -> Change:
    """Return the change that deletes a resource."""
    return Change(ResourceKey(type_, id_), "DELETE", **fields)


def patient(id_: str, **elements: Any) -> Resource:
    """Return a Patient."""
    return {"resourceType": "Patient", "id": id_, **elements}


def observation(id_: str, **elements: Any) -> Resource:
    """Return an Observation."""
    return {"resourceType": "Observation", "id": id_, "status": "final", **elements}


@dataclass(slots=True)
class World:
    """One store, its clock and settings; `visibility` and `expander` are those of every search."""

    store: Store
    clock: Clock
    settings: Settings
    visibility: Visibility = field(default_factory=Visibility)
    expander: CodeExpander | None = None

    async def put(self, *resources: Resource) -> CommitResult:
        """Write resources in one commit."""
        return await self.store.commit([change(resource) for resource in resources])

    def parse(self, url: str, **options: Any) -> ParsedSearch:
        """Parse `Type?query`, `?query` (all types) or `Patient/x/Type?query`."""
        path, _, query = url.partition("?")
        *focus, type_ = path.split("/")
        types = EXTRACTOR.registry.types if type_ in ("", "*") else (type_,)
        return parse_search(
            tuple(parse_qsl(query, keep_blank_values=True)),
            types=types,
            registry=EXTRACTOR.registry,
            settings=self.settings,
            visibility=self.visibility,
            compartment=ResourceKey(*focus) if focus else None,
            own_base=BASE,
            expander=self.expander,
            now=self.clock(),
            **options,
        )

    async def search(self, url: str, **changes: Any) -> Page:
        """Return the first page of a search by URL."""
        return await self.store.search(replace(self.parse(url).search, **changes))

    async def ids(self, url: str) -> list[str]:
        """Return the ids of all matches, in their order, over all pages."""
        return [version.key.id for page in await self.pages(url) for version in page.versions]

    async def found(self, url: str) -> set[str]:
        """Return the ids of all matches."""
        ids = await self.ids(url)
        assert len(ids) == len(set(ids)), f"{url} gave a row twice: {ids}"
        return set(ids)

    async def pages(self, url: str) -> list[Page]:
        """Return all pages of a search."""
        return await self.follow(self.parse(url).search)

    async def follow(self, search: Search) -> list[Page]:
        """Return this page and all after it."""
        pages = [await self.store.search(search)]
        while pages[-1].next is not None:
            cursor: Cursor = pages[-1].next
            pages.append(await self.store.search(replace(search, after=cursor)))
        return pages


async def open_world(engine: str, folder: Path, **settings: Any) -> World:
    """Open an engine in a folder of its own."""
    clock = Clock()
    made = Settings(durable=False, **settings)
    store = await ENGINES[engine](Bench(folder, made, clock, extract))
    return World(store, clock, made)
