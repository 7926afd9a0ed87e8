"""Messages that come in: each is written once, with its id in the same commit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, Protocol

from fhir_bridges.events import CloudEvent, NoEvent, read_event
from fhir_bridges.settings import In
from fhir_server.plugin_api import (
    Beside,
    Collection,
    FhirError,
    Forbidden,
    Host,
    NotFound,
    PluginContext,
    RecordChange,
    RecordField,
    Unauthorized,
    decode,
)

_log = logging.getLogger("fhir_bridges")
SEEN: Final = Collection("fhir_bridges.seen", (RecordField("at", "integer"),))
"""Ids of messages that were written."""

REFUSED: Final = Collection("fhir_bridges.refused", (RecordField("bridge"), RecordField("at", "integer")))
"""Messages that the record does not take, with the reason."""

_MOST_KEPT: Final = 1_000_000
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_FAULT: Final = 500


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message. `place` is where it stands with its broker, if that is the same at each delivery."""

    place: str
    data: bytes
    headers: Mapping[str, str]
    key: str = ""


class Source(Protocol):
    """One way in."""

    prefix: str
    """Of the headers of CloudEvents."""

    def messages(self) -> AsyncIterator[Incoming]:
        """Yield messages; the last one is confirmed when the next is asked for."""


Outcome = Literal["written", "again", "own", "refused"]


async def run(host: Host, bridge: In, source: Source) -> None:
    """Take messages for ever, in their order; one that cannot be written now is tried until it can."""
    async for message in source.messages():
        pause = _FIRST_PAUSE
        while True:
            try:
                await take(await host.context(bridge.tenant), bridge, source.prefix, message)
                break
            except FhirError as error:
                _log.warning("bridge %s waits with a message: %s", bridge.name, type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def take(ctx: PluginContext, bridge: In, prefix: str, message: Incoming) -> Outcome:
    """Write one message, unless it was written before.

    Raises:
        FhirError: it cannot be written now, but perhaps later.
    """
    try:
        event = read_event(message.data, message.headers, prefix)
    except NoEvent as error:
        return await _refuse(ctx, bridge, message, message.place or _digest(message.data), str(error))
    if event is not None and event.attributes["source"] == ctx.base:
        return "own"
    name = f"{event.attributes['source']}#{event.id}" if event else message.place or _digest(message.data)
    seen = _seen(ctx, bridge, name)
    if await ctx.store.get(SEEN.name, seen.key) is not None:
        return "again"
    try:
        await _write(ctx, event, message, Beside(records=(seen,)))
    except (Unauthorized, Forbidden):
        raise  # the plugin lacks a scope: that is for its operator to mend, not a fault of the message
    except FhirError as error:
        if await ctx.store.get(SEEN.name, seen.key) is not None:
            return "again"
        if error.status >= _FAULT or error.status in (409, 429):
            raise
        return await _refuse(ctx, bridge, message, name, _told(error))
    except ValueError as error:
        return await _refuse(ctx, bridge, message, name, str(error))
    return "written"


async def _write(ctx: PluginContext, event: CloudEvent | None, message: Incoming, beside: Beside) -> None:
    """Write what a message holds: a resource, a transaction, or that something was deleted. Raises ValueError."""
    if event is not None and event.deletes:
        type_, _, id_ = event.deletes.partition("/")
        try:
            await ctx.own.delete(type_, id_, beside=beside)
        except NotFound:
            return
        return
    resource: Any = decode(event.data if event is not None else message.data)
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise ValueError("it holds no resource")
    if resource["resourceType"] == "Bundle" and resource.get("type") == "transaction":
        await ctx.own.transaction(resource, beside=beside)
    elif "id" in resource:
        await ctx.own.update(resource, beside=beside)
    else:
        await ctx.own.create(resource, beside=beside)


async def _refuse(ctx: PluginContext, bridge: In, message: Incoming, name: str, reason: str) -> Outcome:
    """Keep what the record does not take for people to look at, and go on."""
    seen = _seen(ctx, bridge, name)
    value = {
        "bridge": bridge.name,
        "at": ctx.now(),
        "id": name[:300],
        "key": message.key[:300],
        "reason": reason[:1_000],
        "data": message.data[:_MOST_KEPT].decode("utf-8", "replace"),
    }
    await ctx.store.put(RecordChange(REFUSED.name, seen.key, value), RecordChange(SEEN.name, seen.key, seen.value))
    _log.warning("bridge %s: a message was refused and put aside", bridge.name)
    return "refused"


def _told(error: FhirError) -> str:
    """Return all that is wrong, each with its place."""
    said = (" at ".join((issue.diagnostics, *issue.expression)) for issue in error.issues)
    return "; ".join(said) or str(error)


def _seen(ctx: PluginContext, bridge: In, name: str) -> RecordChange:
    return RecordChange(SEEN.name, f"{bridge.name}~{_digest(name.encode())}", {"at": ctx.now()}, expected=0)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
