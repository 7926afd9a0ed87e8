"""The search parameters of a tenant: those of R4 and of plugins, and its own, which are resources of it."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from fhir_server.model.json import decode
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import Store

_log = logging.getLogger("fhir_server.definitions")
_PAGE: Final = 1_000


def registry_of(standard: ParameterRegistry, custom: Sequence[Mapping[str, object]]) -> ParameterRegistry:
    """Return the parameters in force. A definition that an older release took and this one does not is left out and
    named in the log, so that the server starts all the same."""
    try:
        return standard.with_custom(custom)
    except ValueError as error:
        _log.error("a SearchParameter is not in force: %s", error)
    sound: list[Mapping[str, object]] = []
    for resource in custom:
        with suppress(ValueError):
            standard.with_custom([*sound, resource])
            sound.append(resource)
    return standard.with_custom(sound)


async def custom_parameters(store: Store) -> list[dict[str, object]]:
    """Return all SearchParameters of the store, read in pages."""
    search = Search({"SearchParameter": EVERYTHING}, count=_PAGE)
    found: list[dict[str, object]] = []
    while True:
        page = await store.search(search)
        found += [decode(version.body.data) for version in page.versions]
        if page.next is None:
            return found
        search = replace(search, after=page.next)
