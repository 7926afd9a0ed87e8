"""The check of Subscriptions and SubscriptionTopics before they are written."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from fhir_server.plugin_api import (
    FhirError,
    Finding,
    PluginContext,
    RecordChange,
    Verdict,
    Write,
    WriteCheck,
    compile_criteria,
    may_be_outside,
)
from fhir_subscriptions.log import AUTHORITY
from fhir_subscriptions.settings import SubscriptionSettings
from fhir_subscriptions.topics import Topic, known_topic, read_topic
from fhir_subscriptions.wish import HEARTBEAT, TOPIC, TYPE, Misread, Wish, read_wish

_CHANNELS = ("rest-hook", "websocket", "email", "message")
_PAYLOADS = ("", "application/fhir+json", "application/json", "application/fhir+xml", "application/xml", "text/plain")
_OURS = "plugin:fhir_subscriptions"


async def check(ctx: PluginContext, write: Write) -> Verdict | None:
    """Look at a Subscription; what is asked for begins as `requested`, and is under the authority of who asks."""
    if write.resource is None or ctx.caller.grant == _OURS:
        return None
    if write.type == TOPIC:
        return _topic(ctx, write.resource)
    findings = [each async for each in _findings(ctx, write.resource)]
    if findings:
        return Verdict(findings)
    if write.resource.get("status") in ("off", "error"):
        return None  # nothing is asked for; a copy of one that failed elsewhere stays what it is
    grant = await ctx.lasting_grant()
    await ctx.store.put(RecordChange(AUTHORITY.name, write.id, {"grant": grant, "mark": _mark(write)}))
    if write.resource.get("status") == "requested" and "error" not in write.resource:
        return None
    asked = {name: value for name, value in write.resource.items() if name != "error"}
    return Verdict(resource={**asked, "status": "requested"})


def _mark(write: Write) -> str:
    """Return the mark of what is asked for: the authority is for that alone."""
    return replace(read_wish(write.resource or {}), id=write.id).mark


def _topic(ctx: PluginContext, resource: Mapping[str, Any]) -> Verdict | None:
    try:
        read_topic(ctx, resource)
    except Misread as error:
        return Verdict([Finding(str(error), error.expression, code="invalid")])
    return None


async def _findings(ctx: PluginContext, resource: Mapping[str, Any]) -> Any:
    settings: SubscriptionSettings = ctx.settings
    try:
        wish = read_wish(resource)
    except Misread as error:
        yield Finding(str(error), error.expression, code="value")
        return
    for each in (*_of_channel(settings, wish), *_of_time(settings, resource)):
        yield each
    async for each in _of_criteria(ctx, wish):
        yield each


def _of_channel(settings: SubscriptionSettings, wish: Wish) -> Iterator[Finding]:
    place = "Subscription.channel"
    if wish.channel not in _CHANNELS:
        yield Finding(f"this server has the channels {', '.join(_CHANNELS)}", f"{place}.type", code="not-supported")
    if wish.payload not in _PAYLOADS:
        yield Finding("payload is one of FHIR's media types", f"{place}.payload", code="not-supported")
    if wish.channel in ("rest-hook", "message"):
        url = _url(wish.endpoint)
        if url is None or url.scheme not in ("https", "http") or not url.hostname or url.username:
            yield Finding("endpoint is an http(s) URL without a user", f"{place}.endpoint", code="value")
        elif not settings.inside and not may_be_outside(url.hostname):
            yield Finding("endpoint is not in the public network", f"{place}.endpoint", code="security")
    elif wish.channel == "email":
        if not settings.smtp:
            yield Finding("this server sends no mail", f"{place}.type", code="not-supported")
        if "@" not in wish.endpoint or any(each in wish.endpoint for each in "\r\n,;<> "):
            yield Finding("endpoint is one address: mailto:somebody@example.org", f"{place}.endpoint", code="value")


def _url(endpoint: str) -> SplitResult | None:
    """Return the parts of a URL; None for what cannot be sent to."""
    try:
        httpx.URL(endpoint)
        return urlsplit(endpoint)
    except (httpx.InvalidURL, ValueError):
        return None


def _of_time(settings: SubscriptionSettings, resource: Mapping[str, Any]) -> Iterator[Finding]:
    channel = resource.get("channel", {})
    for number, each in enumerate(channel.get("extension", ())):
        period = next((value for name, value in each.items() if name.startswith("value")), 0)
        if each.get("url") == HEARTBEAT and not settings.shortest_heartbeat <= int(period):
            said = f"a heartbeat period is {settings.shortest_heartbeat} seconds or more"
            yield Finding(said, f"Subscription.channel.extension[{number}].value", code="value")


async def _of_criteria(ctx: PluginContext, wish: Wish) -> Any:
    topic: Topic | None = None
    if wish.topic:
        topic = await known_topic(ctx, wish.topic)
        if topic is None:
            yield Finding(f"there is no active topic {wish.topic[:200]}", "Subscription.criteria", code="not-found")
            return
    for number, (type_, pairs) in enumerate(wish.criteria):
        place = f"Subscription.criteria.extension[{number}].value" if wish.topic else "Subscription.criteria"
        try:
            if type_ not in ctx.core.definitions.resource_types:
                raise Misread(f"{type_[:80]} is no type of resource", place)
            compile_criteria(ctx.core, type_, pairs)
        except (FhirError, Misread) as error:
            yield Finding(str(error), place, code="value")
            continue
        if topic is not None and topic.filters:
            allowed = topic.filters.get(type_, frozenset())
            for name in sorted({name.partition(":")[0] for name, _ in pairs} - allowed):
                yield Finding(f"the topic cannot be filtered by {name}", place, code="not-supported")
        if not ctx.core.restriction.may("search-type", type_):
            yield Finding(f"{type_} is outside of what was granted", place, code="forbidden")


CHECKS = (WriteCheck(check, (TYPE, TOPIC)),)
