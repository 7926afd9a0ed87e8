"""`$process-message`: each message is processed once, and answered the same each time.

Spec: https://hl7.org/fhir/R4/messageheader-operation-process-message.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_messaging.definitions import UnknownEvent, event_for
from fhir_messaging.delivery import may_be_sent_to
from fhir_messaging.effects import effects
from fhir_messaging.envelope import Envelope, opened
from fhir_messaging.records import Keys, UsedId, answered, remembered, to_deliver
from fhir_messaging.registry import Event, Registry
from fhir_messaging.response import is_transient, refusal, response
from fhir_server.plugin_api import (
    BadRequest,
    Beside,
    Busy,
    Call,
    FhirError,
    Forbidden,
    Outputs,
    PluginContext,
    RecordChange,
    RecordChanged,
    Unauthorized,
)

_TRIES = 3


class ProcessMessage:
    """Answers `$process-message`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(self, ctx: PluginContext, call: Call) -> Outputs:
        """Answer a call.

        Raises:
            BadRequest, InvalidResource: what came is no message.
            Forbidden: the caller may not do what the message asks for.
        """
        message = opened(ctx, call.inputs.one("content"))
        where = _where(ctx, call, message)
        for _ in range(_TRIES):
            try:
                given = await self._given(ctx, message, where)
            except RecordChanged:  # the same message came twice at once: the other one was faster
                continue
            return Outputs([], status=202) if where else Outputs([("return", given)])
        raise Busy("the same message is being processed; ask again")

    async def _given(self, ctx: PluginContext, message: Envelope, where: str) -> Mapping[str, Any]:
        """Return the response to a message, processed now or before."""
        keys = Keys.of(ctx, message)
        again = False
        try:
            known = await answered(ctx, keys, message, again=True)
            if known is None:
                event = await event_for(ctx, self._registry, message)
                again = event.category == "currency"
                known = await answered(ctx, keys, message, again=again)
            if known is None:
                return await self._processed(ctx, message, event, (keys, where))
            if where:
                await _deliver_again(ctx, where, known)
            return known
        except (Forbidden, Unauthorized):
            raise
        except FhirError as error:
            if is_transient(error) and (known := await answered(ctx, keys, message, again=again)) is not None:
                return known  # the same message came twice at once, and the other one was faster
            given = refusal(ctx, message, error)
            forgets = is_transient(error) or isinstance(error, UnknownEvent | UsedId)
            records = [] if forgets else remembered(ctx, keys, message, given, again=again)
            records += [to_deliver(ctx, where, given)] if where else []
            await ctx.store.put(*records)
            return given

    async def _processed(
        self, ctx: PluginContext, message: Envelope, event: Event, at: tuple[Keys, str]
    ) -> Mapping[str, Any]:
        """Write what comes of the message, and with that the response, all or nothing."""
        keys, where = at
        result = await effects(ctx, event, message)
        given = response(ctx, message, "ok", result.response)
        records: list[RecordChange] = remembered(ctx, keys, message, given, again=event.category == "currency")
        records += [to_deliver(ctx, where, given)] if where else []
        if result.entries:
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(result.entries)}
            await ctx.client.transaction(bundle, beside=Beside(records))
        else:
            await ctx.store.put(*records)
        return given


def _where(ctx: PluginContext, call: Call, message: Envelope) -> str:
    """Return where the response goes; empty where it is the answer. Raises BadRequest: it may not go there."""
    if not call.inputs.one("async", False):
        return ""
    url = str(call.inputs.one("response-url") or message.header.get("source", {}).get("endpoint") or "")
    if not may_be_sent_to(ctx.settings, url):
        raise BadRequest(
            "responses are sent to endpoints in the settings alone (`endpoints`); ask without async, or have it added",
            expression="response-url",
        )
    return url


async def _deliver_again(ctx: PluginContext, where: str, known: Mapping[str, Any]) -> None:
    try:
        await ctx.store.put(to_deliver(ctx, where, known))
    except RecordChanged:
        return  # it is on its way
