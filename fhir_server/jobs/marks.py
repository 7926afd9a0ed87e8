"""Marks: which tenants have jobs, so that nobody has to open the others to look."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from fhir_server.storage.base import Collection, RecordChange, Store

MARKS: Final = Collection("jobs.tenants")
HOME: Final = "default"
"""The tenant that keeps the marks, and needs none."""

Held = Callable[[str], AbstractAsyncContextManager[Any]]


async def mark(held: Held, tenant: str) -> None:
    """Note that a tenant has a job; before the job is written, so that none is forgotten."""
    if tenant == HOME:
        return
    async with held(HOME) as home:
        await home.store.declare(MARKS)
        if await home.store.records.get(MARKS.name, tenant) is None:
            await home.store.commit((), (RecordChange(MARKS.name, tenant, {}),))


async def marked(home: Store) -> list[str]:
    """Return the tenants that may have jobs."""
    await home.declare(MARKS)
    found, after = [HOME], None
    while page := await home.records.find(MARKS.name, after=after, limit=500):
        found += [record.key for record in page]
        after = page[-1].key
    return found


async def unmark(home: Store, tenant: str) -> None:
    """Note that a tenant has no job any more."""
    if tenant != HOME:
        await home.commit((), (RecordChange(MARKS.name, tenant, None),))
