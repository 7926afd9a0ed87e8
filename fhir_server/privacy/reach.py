"""What belongs to a patient, by the table of patient links, and what of it others have a part in."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.audit.patients import patients_of
from fhir_server.auth.links import of_patients, reaches_patients
from fhir_server.context import Context
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.parameters_links import LINK, VIA
from fhir_server.search.query import NOTHING, Search
from fhir_server.storage.base import Store

_PAGE: Final = 1_000
_COLLECTIVE: Final = frozenset(("Group",))
"""Types that are about a set of patients, even where only one is left in it."""

KEPT: Final = frozenset(("AuditEvent",))
"""The record of who did what is kept where the data are erased; it must be shown to authorities."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The current resources that are linked to a patient: those of this patient alone, and those of others too."""

    own: tuple[ResourceKey, ...] = ()
    shared: tuple[ResourceKey, ...] = ()


def search_of(ctx: Context, patient: str) -> Search:
    """Return the search for all current resources that are linked to a patient."""
    facts = ctx.definitions
    types = [type_ for type_ in facts.resource_types if reaches_patients(type_, facts) and type_ not in KEPT]
    nodes = {type_: of_patients(type_, (patient,), facts) for type_ in types}
    return Search({type_: node for type_, node in nodes.items() if node != NOTHING}, count=_PAGE)


async def pages(store: Store, search: Search) -> AsyncIterator[tuple[Version, ...]]:
    """Yield all pages of a search."""
    while True:
        page = await store.search(search)
        yield page.versions
        if page.next is None:
            return
        search = replace(search, after=page.next)


async def reach(ctx: Context, patient: str) -> Reach:
    """Tell what belongs to a patient.

    A resource whose subjects are other patients, or other patients too, is shared: the patient only takes part in it.
    """
    found = {version.key: version async for page in pages(ctx.store, search_of(ctx, patient)) for version in page}
    own: list[ResourceKey] = []
    shared: list[ResourceKey] = []
    for key, version in found.items():
        (shared if await _is_shared(ctx, version, patient, found) else own).append(key)
    return Reach(tuple(sorted(own)), tuple(sorted(shared)))


async def _is_shared(ctx: Context, version: Version, patient: str, linked: Collection[ResourceKey]) -> bool:
    type_, id_ = version.key
    if type_ == "Patient":
        return id_ != patient
    if type_ in _COLLECTIVE:
        return True
    subjects = set(patients_of(ctx.definitions, type_, version.body.data))
    if subjects:
        return subjects != {patient}
    return await _reaches_others(ctx, version, patient, linked)


async def _reaches_others(ctx: Context, version: Version, patient: str, linked: Collection[ResourceKey]) -> bool:
    """Tell whether a resource without a subject of its own is linked to another patient, directly or by way of what
    it belongs to."""
    entries = ctx.extractor.extract(version.key.type, decode(version.stamped()), own_base=ctx.base)
    through = []
    for param, type_, id_, *_ in entries.references:
        if param not in (LINK, VIA) or type_ is None or id_ is None:
            continue
        if type_ == "Patient" and id_ != patient:
            return True
        if param == VIA and type_ != "Patient":
            through.append(ResourceKey(type_, id_))
    outside = [key for key in through if key not in linked and reaches_patients(key.type, ctx.definitions)]
    current = await ctx.store.read_many(outside)
    return any(not each.deleted for each in current.values())
