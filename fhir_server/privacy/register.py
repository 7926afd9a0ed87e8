"""The register of erasures: who was erased, as a keyed hash, when, and how much it was.

It stands as records in the store, and as lines in a file that a restore reads: a backup is older than the erasures that
came after it, so only what outlives the store can say what must go again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.storage.base import Collection, RecordChange, RecordField
from fhir_server.tenancy.erasures import Erasures as Register
from fhir_server.tenancy.erasures import bring, note, open_register, place_of

__all__ = ["ERASURES", "Register", "enter", "open_register", "path_of"]

ERASURES: Final = Collection("privacy.erasures", (RecordField("time", "integer"),))


def path_of(ctx: Context) -> Path | None:
    """Return where the file is; None for a store that does not outlive the process."""
    return place_of(ctx.settings) if ctx.store.capabilities.durable else None


async def enter(ctx: Context, subject: str, counts: Mapping[str, int]) -> str:
    """Note an erasure, in the file first; return its id."""
    id_ = ctx.new_id()
    line = {"subject": subject, "time": ctx.now(), "counts": dict(counts), "id": id_}
    path = path_of(ctx)
    if path is not None:
        note(path, line)
        await bring(ctx.settings)
    await ctx.store.declare(ERASURES)
    value: dict[str, Any] = {**line, "by": ctx.caller.name}
    await ctx.store.commit((), (RecordChange(ERASURES.name, id_, value),))
    return id_
