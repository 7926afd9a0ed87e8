"""What a message changes: the transaction of its plugin, or that of storing what it holds."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fhir_messaging.envelope import Envelope
from fhir_messaging.registry import Event, MessageCall, MessageResult
from fhir_server.plugin_api import Busy, FhirError, PluginContext

_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\,$|"})


class FailedHandler(FhirError):
    """The plugin for an event failed or took too long: the message may be sent again."""

    status, code = 500, "exception"


async def effects(ctx: PluginContext, event: Event, message: Envelope) -> MessageResult:
    """Return what comes of a message. Raises FailedHandler."""
    if event.handler is None:
        entries = [stored(ctx.base, url, resource) for url, resource in message.resources.items()]
        return MessageResult(entries)
    call = MessageCall(ctx.tenant, message.event, message.header, message.resources, message.focus, ctx.client)
    try:
        async with asyncio.timeout(ctx.settings.handler_timeout):
            given = await event.handler(call) or {}
    except TimeoutError:
        raise Busy("processing this event took too long; send the message again") from None
    except FhirError:
        raise
    except Exception as error:
        raise FailedHandler(f"processing this event failed ({type(error).__name__})") from error
    return MessageResult(_list(given, "entries"), _list(given, "response"))


def stored(base: str, url: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry that stores a resource of a message.

    One of this server is updated; one of another is the resource here that has its first identifier with a system;
    what has none is created.
    """
    type_, id_ = resource["resourceType"], resource.get("id")
    if id_ and url == f"{base}/{type_}/{id_}":
        return {"fullUrl": url, "resource": dict(resource), "request": {"method": "PUT", "url": f"{type_}/{id_}"}}
    plain = {name: value for name, value in resource.items() if name != "id"}
    request = {"method": "POST", "url": type_}
    if token := _token(resource):
        request = {"method": "PUT", "url": f"{type_}?identifier={token}"}
    return {"fullUrl": url, "resource": plain, "request": request}


def _token(resource: Mapping[str, Any]) -> str:
    identifiers = resource.get("identifier")
    for each in identifiers if isinstance(identifiers, list) else [identifiers]:
        if isinstance(each, Mapping) and each.get("system") and each.get("value"):
            return "%7C".join(quote(_escaped(str(each[name])), safe="") for name in ("system", "value"))
    return ""


def _escaped(value: str) -> str:
    return value.translate(_SPECIAL)


def _list(given: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = given.get(name) or ()
    return list(value)
