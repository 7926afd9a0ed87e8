"""Legal holds: what belongs to a patient under one is neither deleted nor purged, whatever the way."""

from collections.abc import Sequence
from typing import Final

from fhir_server.auth.links import of_patients, reaches_patients
from fhir_server.context import Context
from fhir_server.definitions import load
from fhir_server.errors import Conflict
from fhir_server.interactions.visibility import holds
from fhir_server.model.keys import ResourceKey
from fhir_server.search.query import NOTHING, And, Ids, Search
from fhir_server.storage.base import Change, Collection, HistoryQuery, RecordField, Store

LEGAL_HOLDS: Final = Collection("privacy.holds", (RecordField("since", "integer"),))
"""By the logical id of the patient. Not bound to the patient as other records are: it is what stands in the way."""

_PAGE: Final = 1_000


async def held_patients(store: Store) -> tuple[str, ...]:
    """Return the logical ids of the patients under a hold."""
    found: list[str] = []
    after = None
    while records := await store.records.find(LEGAL_HOLDS.name, after=after, limit=_PAGE):
        found += [record.key for record in records]
        after = records[-1].key
    return tuple(found)


async def keep_held(store: Store, changes: Sequence[Change]) -> None:
    """Refuse deletes of what belongs to a patient under a hold. Raises Conflict."""
    gone = [change.key for change in changes if change.method == "DELETE"]
    patients = await held_patients(store) if gone else ()
    if not patients:
        return
    facts = load()
    for type_ in sorted({key.type for key in gone}):
        ids = tuple(key.id for key in gone if key.type == type_)
        node = of_patients(type_, patients, facts) if reaches_patients(type_, facts) else NOTHING
        if node == NOTHING:
            continue
        page = await store.search(Search({type_: And((Ids(ids), node))}, count=1))
        if page.versions:
            raise refusal(page.versions[0].key)


async def keep_versions(ctx: Context, key: ResourceKey) -> None:
    """Refuse to purge a resource of which any version belongs to a patient under a hold. Raises Conflict."""
    patients = await held_patients(ctx.store)
    if not patients or not reaches_patients(key.type, ctx.definitions):
        return
    node = of_patients(key.type, patients, ctx.definitions)
    query = HistoryQuery(key=key, count=_PAGE)
    while True:
        page = await ctx.store.history(query)
        for version in page.versions:
            if not version.deleted and await holds(ctx, node, version):
                raise refusal(key)
        if page.next is None:
            return
        query = HistoryQuery(key=key, count=_PAGE, before=page.next, until=page.txid)


def refusal(key: ResourceKey) -> Conflict:
    """Return the refusal to delete or purge something."""
    return Conflict(
        f"{key} is under a legal hold: nothing of it is deleted or erased until that is released", expression="http.url"
    )
