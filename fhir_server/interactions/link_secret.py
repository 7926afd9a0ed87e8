"""The secret of page links: one for each tenant, kept with its record, so that workers know the links of each other."""

import secrets
from typing import Final

from fhir_server.interactions.marks import STATE
from fhir_server.storage.base import RecordChange, RecordChanged, StorageFull, Store

_SECRET: Final = "page-links"  # noqa: S105  # the name of the record, not the secret


async def link_secret(store: Store) -> bytes:
    """Return the secret of page links, made by whoever comes first."""
    record = await store.records.get(STATE.name, _SECRET)
    if record is None:
        fresh = RecordChange(STATE.name, _SECRET, {"key": secrets.token_hex(32)}, expected=0)
        try:
            await store.commit((), (fresh,))
        except StorageFull:  # a new store on a full disk answers all the same; its links live as long as this process
            return secrets.token_bytes(32)
        except RecordChanged:
            pass
        record = await store.records.get(STATE.name, _SECRET)
    if record is None:
        raise AssertionError("the record was written")
    return bytes.fromhex(str(record.value["key"]))
