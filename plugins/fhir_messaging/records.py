"""What is remembered of messages: each response, to be given again, and those that are still to be delivered."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from fhir_messaging.envelope import Envelope
from fhir_server.plugin_api import Collection, InvalidResource, PluginContext, Record, RecordChange, RecordField, Where

MESSAGES: Final = Collection("fhir_messaging.messages", (RecordField("at", "integer"),))
DELIVERIES: Final = Collection("fhir_messaging.deliveries", (RecordField("due", "integer"),))
_DAY: Final = 86_400_000
_SWEPT: Final = 500


class UsedId(InvalidResource):
    """A message has the id of another one."""

    code = "duplicate"


@dataclass(frozen=True, slots=True)
class Keys:
    """Under which keys a message is remembered: by its own id, and by that of its envelope. Each sender has their own,
    so that nobody is answered what was for another."""

    message: str
    envelope: str

    @classmethod
    def of(cls, ctx: PluginContext, message: Envelope) -> "Keys":
        """Return the keys of a message from the caller."""
        caller = ctx.caller
        sender = "\n".join((caller.client, caller.user or caller.subject or caller.name))
        return cls(_hash("message", sender, message.id), _hash("envelope", sender, message.envelope or message.id))


async def answered(ctx: PluginContext, keys: Keys, message: Envelope, *, again: bool) -> Mapping[str, Any] | None:
    """Return the response that was given before; None where the message is to be processed.

    again: a message that was processed is processed anew when it comes in a new envelope (category currency).

    Raises:
        UsedId: its id is that of another message.
    """
    for key, counts in ((keys.envelope, True), (keys.message, not again)):
        record = await ctx.store.get(MESSAGES.name, key)
        if record is None or not counts:
            continue
        if record.value["digest"] != message.digest:
            raise UsedId(
                "a message of this id was processed that says something else: give each message an id of its own",
                expression="MessageHeader.id",
            )
        found: Mapping[str, Any] = record.value["response"]  # type: ignore[assignment]
        return found
    return None


def remembered(
    ctx: PluginContext, keys: Keys, message: Envelope, given: Mapping[str, Any], *, again: bool
) -> list[RecordChange]:
    """Return what notes that a message was processed; it fails where somebody was faster."""
    value = {"at": ctx.now(), "digest": message.digest, "response": dict(given)}
    return [
        RecordChange(MESSAGES.name, keys.envelope, value, expected=0),
        RecordChange(MESSAGES.name, keys.message, value, expected=None if again else 0),
    ]


def to_deliver(ctx: PluginContext, url: str, given: Mapping[str, Any]) -> RecordChange:
    """Return what has a response delivered."""
    value = {"url": url, "due": ctx.now(), "since": ctx.now(), "tries": 0, "response": dict(given)}
    return RecordChange(DELIVERIES.name, str(given["id"]), value, expected=0)


async def due(ctx: PluginContext) -> list[Record]:
    """Return what is to be delivered now."""
    return await ctx.store.find(DELIVERIES.name, (Where("due", "<=", ctx.now()),), order="due", limit=100)


async def forget(ctx: PluginContext) -> None:
    """Forget what is older than the setting says."""
    before = ctx.now() - ctx.settings.remember_days * _DAY
    while True:
        old = await ctx.store.find(MESSAGES.name, (Where("at", "<", before),), limit=_SWEPT)
        await ctx.store.put(*(RecordChange(MESSAGES.name, record.key, None) for record in old))
        if len(old) < _SWEPT:
            return


def _hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
