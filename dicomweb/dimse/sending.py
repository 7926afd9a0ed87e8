"""Sending: stored objects over an association, as they are where the other side takes that, else transcoded.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_B.2.html
"""

import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomweb.dimse import status
from dicomweb.dimse.catalog import EXPLICIT, IMPLICIT
from dicomweb.dimse.wire.association import Association, Message
from dicomweb.dimse.wire.command import Field, Value
from dicomweb.dimse.wire.negotiation import Context
from dicomweb.doors import archive, codec
from dicomweb.model.archive import Opened
from dicomweb.model.codec import CodecFailure
from dicomweb.model.values import Instance
from fhir_server.plugin_api import FhirError, PluginContext

_WHOLE: Final = 8 << 20
"""Bytes up to which an object is sent from memory."""
_MOST_CONTEXTS: Final = 128
_META: Final = 144
"""Bytes of preamble, prefix and the length of the File Meta Information."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one object."""

    sop_class: str
    sop_instance: str
    status: int
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Tell whether the other side does not have it."""
        return self.status != 0 and not status.is_warning(self.status)


def proposals(instances: Sequence[Instance]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the presentation contexts that objects need: for each class one with each transfer syntax that they have,
    so that the other side can take what there is, and one with those that everybody knows."""
    classes: dict[str, list[str]] = {}
    for each in instances:
        syntaxes = classes.setdefault(each.sop_class, [])
        if each.transfer_syntax not in syntaxes:
            syntaxes.append(each.transfer_syntax)
    exact = [(name, (one,)) for name, syntaxes in classes.items() for one in syntaxes if one != IMPLICIT]
    plain = [(name, (EXPLICIT, IMPLICIT)) for name, syntaxes in classes.items() if syntaxes != [EXPLICIT]]
    implicit = [(name, (IMPLICIT,)) for name in classes]
    return [*exact, *plain, *implicit][:_MOST_CONTEXTS]


def context_for(ctx: PluginContext, association: Association, instance: Instance) -> Context | None:
    """Return the context to send an object in: as it is, or as it can be made; None: there is none."""
    exact = association.context_for(instance.sop_class, instance.transfer_syntax)
    if exact is not None:
        return exact
    for each in association.contexts.values():
        if each.abstract == instance.sop_class and codec(ctx).can(instance.transfer_syntax, each.transfer):
            return each
    return None


async def send(
    ctx: PluginContext, association: Association, instance: Instance, originator: Mapping[str, Value] | None = None
) -> Sent:
    """Send one object and wait for the answer. Raises Ended: the association is over."""
    sent = await start(ctx, association, instance, originator)
    if isinstance(sent, Sent):
        return sent
    while True:
        answer = await association.receive()
        if answer.field == Field.C_STORE_RSP and answer.id == sent:
            return outcome(instance, answer)


async def start(
    ctx: PluginContext, association: Association, instance: Instance, originator: Mapping[str, Value] | None = None
) -> Sent | int:
    """Send one object; return the id of the message that will be answered, or why it could not be sent."""
    context = context_for(ctx, association, instance)
    if context is None:
        return _unsent(instance, status.CLASS_NOT_SUPPORTED, "the other side takes none of its transfer syntaxes")
    try:
        opened = await archive(ctx).open(ctx, instance)
        data = await _data_set(ctx, opened, context.transfer)
    except (CodecFailure, FhirError):
        return _unsent(instance, status.PROCESSING_FAILURE, "it cannot be read, or not be transcoded")
    number = association.next_id()
    command: dict[str, Value] = {
        "AffectedSOPClassUID": instance.sop_class,
        "CommandField": Field.C_STORE_RQ,
        "MessageID": number,
        "Priority": 0,
        "AffectedSOPInstanceUID": instance.sop,
        **(originator or {}),
    }
    await association.send(context, command, data)
    return number


def outcome(instance: Instance, answer: Message) -> Sent:
    """Return what an answer says became of an object."""
    return Sent(instance.sop_class, instance.sop, answer.number("Status"), answer.text("ErrorComment"))


def _unsent(instance: Instance, code: int, reason: str) -> Sent:
    return Sent(instance.sop_class, instance.sop, code, reason)


async def _data_set(ctx: PluginContext, opened: Opened, transfer: str) -> bytes | AsyncIterator[bytes]:
    instance = opened.instance
    if transfer != instance.transfer_syntax:
        return await _begun(without_meta(codec(ctx).transcoded(opened, transfer)))
    return await opened.data_set() if instance.size <= _WHOLE else without_meta(opened.chunks())


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the same chunks, the first of them made: what cannot be transcoded fails before anything is sent."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()


async def without_meta(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data set of a Part 10 object, without its preamble and File Meta Information."""
    held, to_skip = b"", -1
    async for chunk in chunks:
        if to_skip == 0:
            yield chunk
            continue
        held += chunk
        if to_skip < 0 and len(held) >= _META:
            to_skip = _META + int(struct.unpack_from("<L", held, _META - 4)[0])
        if 0 < to_skip <= len(held):
            held, to_skip = held[to_skip:], 0
            if held:
                yield held
