"""One object on its way in: written as a blob while it is looked at; nothing is left of one that is refused."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dicomweb.index.rows import Held
from dicomweb.ingest.facts import Uids, is_uid, uids_of
from dicomweb.ingest.faults import MISMATCH, OUT_OF_RESOURCES, PROCESSING_FAILURE, ObjectFault
from dicomweb.ingest.frames import pixels_of, spans_of
from dicomweb.ingest.meta import FileMeta, written_meta
from dicomweb.ingest.scan import Limits, Scanned, Scanner
from dicomweb.model.values import Incoming, Outcome, Source
from fhir_server.plugin_api import BlobRef, PluginContext, StorageFull, StoreError

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_BLOCK: Final = 1_048_576
_UTF8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}
_WORDS: Final = {
    "charset": "text that is none of its character set was replaced",
    "encoding": "the data set is not encoded as its transfer syntax says",
    "length": "a value of numbers has an odd length",
    "number": "a number is none",
    "padding": "UIDs are padded with spaces",
    "repertoire": "text goes beyond the default repertoire",
}


@dataclass(frozen=True, slots=True)
class Staged:
    """An object whose bytes are durable, and what was read of it otherwise than it stands."""

    held: Held
    remarks: tuple[str, ...]


def limits_of(settings: "DicomSettings") -> Limits:
    """Return what is taken."""
    return Limits(settings.max_object, settings.max_header, settings.max_inflated, settings.inline_value)


async def stage(
    ctx: PluginContext, incoming: Incoming, source: Source, settings: "DicomSettings"
) -> Staged | Outcome:  # fmt: skip
    """Write an object durably; return the Outcome of one that cannot be stored."""
    try:
        scanner, begin = _scanner(incoming, source, settings)
    except ObjectFault as fault:
        return _failed(fault, incoming)
    try:
        ref = await ctx.store.stage(_followed(incoming, scanner, begin, settings.stall))
    except ObjectFault as fault:
        return _failed(fault, incoming)
    except StorageFull:
        return _failed(ObjectFault("there is no space left for the object", OUT_OF_RESOURCES), incoming)
    except StoreError:
        return _failed(ObjectFault("the object could not be written", PROCESSING_FAILURE), incoming)
    try:
        scanned = scanner.end()
        uids = uids_of(scanned, incoming.sop_class, incoming.sop_instance)
        if incoming.study and incoming.study != uids.study:
            raise ObjectFault("the object belongs to another study than the request names", MISMATCH)
        held = _held(ctx, scanned, uids, ref, source.ae)
        return Staged(replace(held, ae=source.ae), _remarks(scanned, uids))
    except ObjectFault as fault:
        await ctx.store.discard(ref.id)
        return _failed(fault, incoming)
    except BaseException:
        await ctx.store.discard(ref.id)
        raise


def _scanner(incoming: Incoming, source: Source, settings: "DicomSettings") -> tuple[Scanner, bytes]:
    limits = limits_of(settings)
    if not incoming.transfer_syntax:
        return Scanner(limits), b""
    uids = (incoming.transfer_syntax, incoming.sop_class, incoming.sop_instance)
    if not all(map(is_uid, uids)):
        raise ObjectFault("a UID of the command is none", MISMATCH)
    begin = written_meta(*uids, source.ae)
    return Scanner(limits, FileMeta(*uids, len(begin))), begin


async def _followed(
    incoming: Incoming, scanner: Scanner, begin: bytes, stall: float
) -> AsyncIterator[bytes]:  # fmt: skip
    """Yield the bytes in large blocks, each looked at before it is written; one that is whole, while it is."""
    if isinstance(incoming.data, bytes):
        yield begin + incoming.data if begin else incoming.data
        scanner.feed(incoming.data)
        scanner.check_end()
        return
    block = bytearray(begin)
    async for chunk in patiently(incoming.data, stall):
        scanner.feed(chunk)
        block += chunk
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
    scanner.check_end()


async def patiently(chunks: AsyncIterator[bytes], stall: float) -> AsyncIterator[bytes]:
    """Yield what comes; who sends nothing for a while is given up. Raises ObjectFault."""
    while True:
        try:
            async with asyncio.timeout(stall):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ObjectFault(f"nothing came for {stall:g} seconds", PROCESSING_FAILURE) from None
        yield chunk


def _held(ctx: PluginContext, scanned: Scanned, uids: Uids, ref: BlobRef, ae: str) -> Held:
    header = scanned.header
    if "00080005" in header:
        header["00080005"] = _UTF8
    pixels = pixels_of(scanned)
    spans = spans_of(pixels, scanned.tail) if pixels else None
    return Held(
        uids, scanned.meta.transfer_syntax, ref.id, ref.size, scanned.digest, ref.sha256, header, pixels, spans,
        ctx.now(), ae,
    )  # fmt: skip


def _remarks(scanned: Scanned, uids: Uids) -> tuple[str, ...]:
    said = [_WORDS[each] for each in sorted(scanned.coerced)]
    if scanned.meta.sop_instance not in ("", uids.sop) or scanned.meta.sop_class not in ("", uids.sop_class):
        said.append("the File Meta Information names another SOP Class or Instance")
    return tuple(said)


def _failed(fault: ObjectFault, incoming: Incoming) -> Outcome:
    return Outcome(incoming.sop_class, incoming.sop_instance, incoming.study, "", fault.status, fault.reason)
