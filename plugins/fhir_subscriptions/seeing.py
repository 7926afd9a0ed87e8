"""What may be seen of an event, under the authority of the subscription and that of who asks, at this moment."""

from collections.abc import Sequence
from typing import Any

from fhir_server.plugin_api import (
    FhirError,
    Forbidden,
    Gone,
    Host,
    NotFound,
    PluginContext,
    Unauthorized,
    encode,
)
from fhir_subscriptions.log import AUTHORITY, Event
from fhir_subscriptions.notification import Told
from fhir_subscriptions.wish import Membership

_HIDDEN = (NotFound, Gone, Forbidden)


class Sight:
    """Looks with the eyes of one subscriber.

    Args:
        ctx: of the plugin itself, in the tenant of the subscription.
        asker: who is answered, where it is not the subscriber's endpoint. To read a Subscription is not to be
            its subscriber, so they are shown what both may see.
    """

    def __init__(self, host: Host, ctx: PluginContext, member: Membership, asker: PluginContext | None = None) -> None:
        self._host, self._ctx, self._member, self._asker = host, ctx, member, asker
        self._eyes: PluginContext | None = None

    async def _open(self) -> PluginContext:
        """Return the subscriber's context. Raises Unauthorized: its authority has ended."""
        if self._eyes is None:
            record = await self._ctx.store.get(AUTHORITY.name, self._member.wish.id)
            if record is None or record.value.get("mark") != self._member.mark:
                # It was changed unseen, while the plugin was off: nobody has lent their eyes to what it asks now.
                raise Unauthorized("nobody is known to have asked for it as it is")
            grant = str(record.value["grant"])
            self._eyes = await self._host.under(self._ctx.tenant, grant, self._member.base)
        return self._eyes

    async def sees(self, event: Event) -> bool:
        """Tell whether the event may be named: its version, or for a deletion what was deleted, may be read."""
        return await self._body(event) is not None

    async def told(self, events: Sequence[Event], includes: dict[str, tuple[str, ...]]) -> list[Told]:
        """Return events as they may be told of now."""
        return [await self._told(event, includes.get(event.type, ())) for event in events]

    async def _told(self, event: Event, includes: Sequence[str]) -> Told:
        body = await self._body(event)
        if body is None:
            return Told(event, seen=False)
        if event.method == "deleted":
            return Told(event, seen=True)
        along = await self._along(event, includes) if self._member.wish.content == "full-resource" else []
        return Told(event, seen=True, body=body, along=along)

    async def _looking(self) -> list[PluginContext]:
        """Return the contexts that all have to see what is told; it is told as the last one sees it."""
        eyes = await self._open()
        return [eyes] if self._asker is None else [eyes, self._asker]

    async def _body(self, event: Event) -> bytes | None:
        number = event.version - 1 if event.method == "deleted" else event.version
        if number < 1:
            return b""
        path, body = f"{event.type}/{event.id}/_history/{number}", b""
        try:
            for eyes in await self._looking():
                body = b"".join((await eyes.client.request("GET", path)).body)
        except _HIDDEN:
            return None
        return body

    async def _along(self, event: Event, includes: Sequence[str]) -> list[tuple[str, bytes]]:
        """Return what a search of the resource with the includes of its topic brings."""
        if not includes:
            return []
        eyes = (await self._looking())[-1]
        pairs = [("_id", event.id), *(("_include", each) for each in includes)]
        try:
            found: dict[str, Any] = await eyes.client.search(event.type, pairs)
        except FhirError:
            return []
        rows = [row for row in found.get("entry", ()) if row.get("search", {}).get("mode") == "include"]
        return [(str(row["fullUrl"]), encode(row["resource"])) for row in rows]
