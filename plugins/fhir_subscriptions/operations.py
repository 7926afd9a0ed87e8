"""Subscription/$status, $events and $get-ws-binding-token.

Spec: https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from fhir_server.plugin_api import (
    BadValue,
    Call,
    FhirResponse,
    NotFound,
    Operation,
    Outputs,
    PluginContext,
    RecordChange,
    encode,
    facts_of,
    instant,
)
from fhir_subscriptions.log import TOKENS, numbered
from fhir_subscriptions.members import member_of
from fhir_subscriptions.notification import bundle_of, status_of
from fhir_subscriptions.numbering import includes_of
from fhir_subscriptions.seeing import Sight
from fhir_subscriptions.sockets import PATH
from fhir_subscriptions.wish import CONTENTS, Membership

_PLACE: Final = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition"
_MOST: Final = 1_000


async def status(ctx: PluginContext, call: Call) -> FhirResponse:
    """Tell how subscriptions do, as a Bundle of their statuses."""
    asked = [call.request.id] if call.request.id else list(call.inputs.many("id"))
    wanted = set(call.inputs.many("status"))
    criteria = [("_id", ",".join(asked))] if asked else []
    seen = [version.key.id async for version in ctx.client.versions("Subscription", criteria)]
    if call.request.id and not seen:
        raise NotFound(f"there is no Subscription/{call.request.id}")
    found = [await member_of(ctx.store, id_) for id_ in seen]
    members = [each for each in found if each is not None and (not wanted or each.state in wanted)]
    entries = [_entry(replace(each, base=ctx.base)) for each in members]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
    if not entries:
        del bundle["entry"]
    return FhirResponse(200, (encode(bundle),))


def _entry(member: Membership) -> dict[str, Any]:
    resource = status_of(member, "query-status")
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource, "search": {"mode": "match"}}


async def events(ctx: PluginContext, call: Call) -> FhirResponse:
    """Return events of the past, as a notification."""
    await ctx.client.read("Subscription", str(call.request.id))
    member = await member_of(ctx.store, str(call.request.id))
    if member is None:
        raise NotFound("this subscription is off: it has no events", expression="http.url")
    content = call.inputs.one("content", member.wish.content)
    if content not in CONTENTS:
        raise BadValue(f"content is one of {', '.join(CONTENTS)}", expression="http.content")
    since, until = (_number(call, name) for name in ("eventsSinceNumber", "eventsUntilNumber"))
    found = await numbered(ctx.store, member.wish.id, max((since or 1) - 1, 0), _MOST)
    found = [each for each in found if until is None or each.number <= until]
    wish = _as_asked(member, content, ctx.base)
    told = await Sight(ctx.host, ctx, wish, ctx).told(found, await includes_of(ctx, wish))
    return FhirResponse(200, (bundle_of(wish, "query-event", told, ctx.now()),))


def _number(call: Call, name: str) -> int | None:
    value = call.inputs.one(name)
    if value is None:
        return None
    if not str(value).isdigit():
        raise BadValue(f"{name} is the number of an event", expression=f"http.{name}")
    return int(value)


def _as_asked(member: Membership, content: str, base: str) -> Membership:
    return replace(member, wish=replace(member.wish, content=content), base=base)


async def token(ctx: PluginContext, call: Call) -> Outputs:
    """Give a token with which a WebSocket is bound to subscriptions that the caller may read."""
    asked = [call.request.id] if call.request.id else list(call.inputs.many("id"))
    if not asked:
        raise BadValue("name the subscriptions: id=...", expression="http.id")
    for id_ in asked:
        resource = await ctx.client.read("Subscription", str(id_))
        if resource.get("channel", {}).get("type") != "websocket":
            raise BadValue(f"Subscription/{id_} is not by websocket", expression="http.id")
    made, expires = secrets.token_urlsafe(24), ctx.now() + ctx.settings.tokens_live * 1000
    kept = {"ids": asked, "expires": expires, "grant": ctx.caller.grant}
    await ctx.store.put(RecordChange(TOKENS.name, made, kept))
    return Outputs(
        [
            ("token", made),
            ("expiration", instant(expires)),
            ("subscription", ",".join(map(str, asked))),
            ("websocket-url", socket_url(ctx.base)),
        ]
    )


def socket_url(base: str) -> str:
    """Return the URL of WebSockets that belongs to a FHIR endpoint."""
    root = base.removesuffix("/fhir")
    return f"{root.replace('http', 'ws', 1)}{PATH}"


def _definition(code: str, name: str, parameters: Sequence[dict[str, Any]], *, type_: bool) -> dict[str, Any]:
    return {
        "resourceType": "OperationDefinition", "url": f"{_PLACE}/{name}", "name": code, "status": "active",
        "kind": "operation", "code": code, "resource": ["Subscription"], "system": False, "type": type_,
        "instance": True, "affectsState": False, "parameter": list(parameters),
    }  # fmt: skip


def _in(name: str, kind: str, most: str = "1") -> dict[str, Any]:
    return {"name": name, "use": "in", "min": 0, "max": most, "type": kind}


def _out(name: str, kind: str, least: int = 1) -> dict[str, Any]:
    return {"name": name, "use": "out", "min": least, "max": "1", "type": kind}


def operations() -> list[Operation]:
    """Return the three."""
    bundle = _out("return", "Bundle")
    of_status = _definition("status", "backport-subscription-status",
                            [_in("id", "id", "*"), _in("status", "code", "*"), bundle], type_=True)  # fmt: skip
    of_events = _definition(
        "events", "backport-subscription-events",
        [_in("eventsSinceNumber", "string"), _in("eventsUntilNumber", "string"), _in("content", "code"), bundle],
        type_=False,
    )  # fmt: skip
    of_token = _definition(
        "get-ws-binding-token", "backport-subscription-get-ws-binding-token",
        [_in("id", "id", "*"), _out("token", "string"), _out("expiration", "dateTime"),
         _out("subscription", "string"), _out("websocket-url", "url")],
        type_=True,
    )  # fmt: skip
    return [
        Operation(facts_of(of_status), status, "How subscriptions do."),
        Operation(facts_of(of_events), events, "Events of a subscription that are past."),
        Operation(facts_of(of_token), token, "A token to bind a WebSocket with."),
    ]
