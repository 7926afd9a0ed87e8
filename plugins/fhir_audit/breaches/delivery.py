"""Delivery: alerts go to the log and to the targets that are set, each at least once; its id tells repeats apart."""

import asyncio
import hmac
import json
import logging
import ssl
from collections.abc import Mapping
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from fhir_audit.breaches.cases import ALERTS
from fhir_audit.settings import AuditSettings
from fhir_audit.sinks.syslog import Syslog, message
from fhir_server.plugin_api import PluginContext, Record, RecordChange, Where

_log = logging.getLogger("fhir_server.alerts")
_TIMEOUT: Final = 10.0
_PAGE: Final = 100
_SEVERITY: Final = 1  # alert: action must be taken immediately


class Undelivered(Exception):
    """A target did not take an alert; it is sent again."""


async def deliver(ctx: PluginContext, settings: AuditSettings) -> None:
    """Send what was not sent yet, and forget what is old. Raises Undelivered, once the others are sent."""
    failed = ""
    for record in await ctx.store.find(ALERTS.name, [Where("sent", "=", 0)], order="time", limit=_PAGE):
        failed = await _deliver(ctx, settings, record) or failed
    old = ctx.now() - 2 * settings.quiet * 1_000
    swept = await ctx.store.find(ALERTS.name, [Where("sent", "=", 1), Where("time", "<", old)], limit=_PAGE)
    if swept:
        await ctx.store.put(*(RecordChange(ALERTS.name, record.key, None, record.revision) for record in swept))
    if failed:
        raise Undelivered(failed)


async def _deliver(ctx: PluginContext, settings: AuditSettings, record: Record) -> str:
    """Send one alert; return what is wrong with a target, in words."""
    value: Any = dict(record.value)
    told = list(value["told"])
    payload = {**value["payload"], "tenant": ctx.tenant}
    if not told:
        _log.warning("%s: %s in tenant %s", payload["title"], payload["issue"], ctx.tenant)
    failed = ""
    for target in settings.targets:
        mark = blake2b(target.encode(), digest_size=8).hexdigest()
        if mark in told:
            continue
        try:
            await send(target, payload, settings)
            told.append(mark)
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            failed = f"{urlsplit(target).scheme}://{urlsplit(target).hostname or ''}: {error}"
    value |= {"told": told or ["log"], "sent": 0 if failed else 1}
    await ctx.store.put(RecordChange(ALERTS.name, record.key, value, expected=record.revision))
    return failed


async def send(target: str, payload: Mapping[str, Any], settings: AuditSettings) -> None:
    """Send an alert to one target. Raises OSError, httpx.HTTPError: it was not taken."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    scheme = urlsplit(target).scheme
    if scheme in ("http", "https"):
        await _post(target, body, str(payload["id"]), settings)
    elif scheme == "file":
        await asyncio.to_thread(_append, Path(urlsplit(target).path), body + b"\n")
    else:
        syslog = Syslog(target, settings.target_ca)
        text = message(_SEVERITY, str(payload["rule"]), {"id": payload["id"], "tenant": payload["tenant"]}, body)
        await asyncio.to_thread(syslog.send, [text])


async def _post(url: str, body: bytes, id_: str, settings: AuditSettings) -> None:
    """POST as JSON, signed where there is a key: `X-Signature: sha256=HMAC of the body in hex`."""
    headers = {"content-type": "application/json", "idempotency-key": id_}
    key = settings.target_secret.get_secret_value().encode()
    if key:
        headers["x-signature"] = f"sha256={hmac.new(key, body, sha256).hexdigest()}"
    verify = ssl.create_default_context(cafile=settings.target_ca) if settings.target_ca else True
    async with httpx.AsyncClient(timeout=_TIMEOUT, verify=verify) as client:
        answer = await client.post(url, content=body, headers=headers)
        if not answer.is_success:  # without the URL, which may hold a secret
            raise ConnectionError(f"it answered {answer.status_code}")


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line)
