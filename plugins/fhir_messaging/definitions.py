"""Which events can be processed: those of plugins, and those that an active MessageDefinition in the record defines.

Spec: https://hl7.org/fhir/R4/messagedefinition.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_messaging.envelope import Envelope, count_of, event_of
from fhir_messaging.registry import CATEGORIES, Event, Registry
from fhir_server.plugin_api import InvalidResource, Issue, PluginContext

_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\,$|"})


class UnknownEvent(InvalidResource):
    """Nobody processes this event here."""

    code = "not-supported"


async def event_for(ctx: PluginContext, registry: Registry, message: Envelope) -> Event:
    """Return how the event of a message is processed. A plugin decides over the definition in all but the focus.

    Raises:
        UnknownEvent: no plugin and no MessageDefinition knows it.
        InvalidResource: the focus is not as the definition says.
    """
    known, definition = registry.find(message.event), await _definition(ctx, message.event)
    if known is None and (definition is None or ctx.settings.unhandled == "refuse"):
        raise UnknownEvent(
            f"this server does not process the event {message.event[:200]}", expression="MessageHeader.event"
        )
    if definition is not None:
        _check_focus(message, definition)
    if known is not None:
        return known
    category = str((definition or {}).get("category") or "consequence")
    return Event(message.event, category if category in CATEGORIES else "consequence")  # type: ignore[arg-type]


async def _definition(ctx: PluginContext, event: str) -> Mapping[str, Any] | None:
    """Return the active MessageDefinition of an event, the newest of several. It is looked up for the server, since a
    sender of messages need not see it."""
    system, bar, code = event.rpartition("|")
    value = f"{system.translate(_SPECIAL)}|{code.translate(_SPECIAL)}" if bar else event.translate(_SPECIAL)
    criteria = [("event", value), ("status", "active"), ("_sort", "-_lastUpdated")]
    async for found in ctx.own.each("MessageDefinition", criteria):
        if event_of(found) == event:
            return found
    return None


def _check_focus(message: Envelope, definition: Mapping[str, Any]) -> None:
    issues = []
    for wanted in definition.get("focus", []):
        type_, count = wanted.get("code"), count_of(message.focus, wanted.get("code"))
        most = wanted.get("max", "*")
        if count < wanted.get("min", 0) or (str(most).isdigit() and count > int(most)):
            said = f"the definition of this event wants {wanted.get('min', 0)} to {most} {type_} as focus, not {count}"
            issues.append(Issue(said, "invariant", expression=("MessageHeader.focus",)))
    if issues:
        raise InvalidResource(issues[0].diagnostics, issues=issues)
