"""What a subscriber may see of an event, under the authority of the subscription, at this moment."""

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
    """

    def __init__(self, host: Host, ctx: PluginContext, member: Membership) -> None:
        self._host, self._ctx, self._member = host, ctx, member
        self._eyes: PluginContext | None = None

    async def _open(self) -> PluginContext:
        """Return the subscriber's context. Raises Unauthorized: its authority has ended."""
        if self._eyes is None:
            record = await self._ctx.store.get(AUTHORITY.name, self._member.wish.id)
            if record is None:
                raise Unauthorized("nobody is known to have made it")
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

    async def _body(self, event: Event) -> bytes | None:
        eyes = await self._open()
        number = event.version - 1 if event.method == "deleted" else event.version
        if number < 1:
            return b""
        try:
            path = f"{event.type}/{event.id}/_history/{number}"
            return b"".join((await eyes.client.request("GET", path)).body)
        except _HIDDEN:
            return None

    async def _along(self, event: Event, includes: Sequence[str]) -> list[tuple[str, bytes]]:
        """Return what a search of the resource with the includes of its topic brings."""
        if not includes:
            return []
        eyes = await self._open()
        pairs = [("_id", event.id), *(("_include", each) for each in includes)]
        try:
            found: dict[str, Any] = await eyes.client.search(event.type, pairs)
        except FhirError:
            return []
        rows = [row for row in found.get("entry", ()) if row.get("search", {}).get("mode") == "include"]
        return [(str(row["fullUrl"]), encode(row["resource"])) for row in rows]
