"""Delivery of responses to asynchronous messages: tried for days, later each time."""

import logging
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from fhir_messaging.records import DELIVERIES, due
from fhir_messaging.settings import MessagingSettings
from fhir_server.plugin_api import Alert, PluginContext, Record, RecordChange, encode, raise_alert, trace_headers

logger = logging.getLogger(__name__)
_HOUR: Final = 3_600_000
_FIRST: Final = 5_000
_LONGEST: Final = 3_600_000


def may_be_sent_to(settings: MessagingSettings, url: str) -> bool:
    """Tell whether an endpoint is one of those in the settings, or lies below one."""
    return _prefix(settings, url) is not None


async def deliver(ctx: PluginContext) -> None:
    """Send what is due."""
    records = await due(ctx)
    if not records:
        return
    async with httpx.AsyncClient(
        timeout=ctx.settings.delivery_timeout, follow_redirects=False, trust_env=False
    ) as http:
        for record in records:
            await ctx.store.put(await _tried(ctx, http, record))


async def _tried(ctx: PluginContext, http: httpx.AsyncClient, record: Record) -> RecordChange:
    """Send one response; return what becomes of its record."""
    value: dict[str, Any] = dict(record.value)
    prefix = _prefix(ctx.settings, value["url"])
    if prefix is not None and await _sent(ctx, http, value, prefix):
        return RecordChange(DELIVERIES.name, record.key, None, expected=record.revision)
    if prefix is None or ctx.now() - value["since"] > ctx.settings.delivery_hours * _HOUR:
        said = "the response to a message could not be delivered; it is given up"
        raise_alert(Alert("undelivered-response", ctx.tenant, said, entity=f"MessageHeader/{record.key}"))
        return RecordChange(DELIVERIES.name, record.key, None, expected=record.revision)
    tries = value["tries"] + 1
    wait = min(_FIRST * 2 ** min(tries, 20), _LONGEST)
    return RecordChange(
        DELIVERIES.name, record.key, {**value, "tries": tries, "due": ctx.now() + wait}, expected=record.revision
    )


async def _sent(ctx: PluginContext, http: httpx.AsyncClient, value: dict[str, Any], prefix: str) -> bool:
    token = ctx.settings.endpoints[prefix].get_secret_value()
    headers = {"content-type": "application/fhir+json"} | ({"authorization": f"Bearer {token}"} if token else {})
    headers |= trace_headers()
    try:
        answer = await http.post(value["url"], content=encode(value["response"]), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        logger.warning("a response was not delivered: %s", type(error).__name__)
        return False
    if not answer.is_success:
        logger.warning("a response was not delivered: the receiver answers %s", answer.status_code)
    return answer.is_success


def _prefix(settings: MessagingSettings, url: str) -> str | None:
    """Return the setting that an endpoint falls under."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or ".." in parts.path:
        return None
    found = [each for each in settings.endpoints if url == each or url.startswith(each.rstrip("/") + "/")]
    return max(found, key=len) if found else None
