"""Legal holds: patients whose data must not be erased for now."""

from dataclasses import dataclass
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.errors import Conflict
from fhir_server.interactions.legal_holds import LEGAL_HOLDS
from fhir_server.storage.base import Record, RecordChange

HOLDS: Final = LEGAL_HOLDS


@dataclass(frozen=True, slots=True)
class Hold:
    """Why and since when (milliseconds), and who said so."""

    reason: str
    by: str
    since: int


async def hold_of(ctx: Context, patient: str) -> Hold | None:
    """Return the hold on a patient's data."""
    await ctx.store.declare(HOLDS)
    record = await ctx.store.records.get(HOLDS.name, patient)
    return None if record is None else _read(record)


async def place(ctx: Context, patient: str, reason: str) -> Hold:
    """Put a hold on a patient's data, or give it another reason."""
    before = await hold_of(ctx, patient)
    hold = Hold(reason, ctx.caller.name, before.since if before else ctx.now())
    value: dict[str, Any] = {"reason": hold.reason, "by": hold.by, "since": hold.since}
    await ctx.store.commit((), (RecordChange(HOLDS.name, patient, value),))
    return hold


async def release(ctx: Context, patient: str) -> bool:
    """Take the hold away; tell whether there was one."""
    there = await hold_of(ctx, patient) is not None
    await ctx.store.commit((), (RecordChange(HOLDS.name, patient, None),))
    return there


async def need_free(ctx: Context, patient: str) -> None:
    """Raise Conflict while there is a hold."""
    hold = await hold_of(ctx, patient)
    if hold is not None:
        raise Conflict(
            f"Patient/{patient} is under a legal hold ({hold.reason}): nothing is erased until it is released",
            expression="http.url",
        )


def _read(record: Record) -> Hold:
    value: Any = record.value
    return Hold(value["reason"], value["by"], value["since"])
