"""The conformance resources that a tenant stores."""

from dataclasses import replace

from fhir_server.model.keys import ResourceKey
from fhir_server.packages.library import CANONICAL_TYPES, Library
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import Store

_PAGE = 1_000


async def load_library(store: Store, below: Library | None = None) -> Library:
    """Read what a store holds of the types of a library, in pages; it lies over `below`."""
    found: list[tuple[ResourceKey, bytes]] = []
    for type_ in CANONICAL_TYPES:
        search = Search({type_: EVERYTHING}, count=_PAGE)
        while True:
            page = await store.search(search)
            found += [(version.key, version.body.data) for version in page.versions]
            if page.next is None:
                break
            search = replace(search, after=page.next)
    return Library((), below).changed(found)
