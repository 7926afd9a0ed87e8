"""Retrieval: objects without identity on their way out, by a parameter of the request."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from dicomweb.deidentify.keyed import Key
from dicomweb.deidentify.options import Options, options_of
from dicomweb.doors import codec, settings_of
from dicomweb.model.archive import Opened
from dicomweb.model.codec import CodecFailure
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.syntaxes import BIG_ENDIAN, EXPLICIT
from fhir_server.plugin_api import Collection, PluginContext, RecordChange, RecordChanged

if TYPE_CHECKING:
    from dicomweb.pixels.codec import PixelCodec

SECRETS = Collection("dicomweb.secrets")
"""The key of pseudonyms of a tenant."""
_KEY = "deidentify"


@dataclass(frozen=True, slots=True)
class Wish:
    """How objects are to be without identity. project: pseudonyms of two of them cannot be joined."""

    options: Options = field(default_factory=Options)
    project: str = ""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """An object without identity, and its UIDs."""

    body: bytes
    study: str
    series: str
    instance: str


def wish_of(query: Iterable[tuple[str, str]]) -> Wish | None:
    """Read `deidentify=shift,descriptors` (and `project=NAME`) or the `anonymize=yes` of WADO-URI; None for neither.

    Raises:
        ValueError: an option is none.
    """
    pairs = dict(query)
    if "deidentify" in pairs:
        return Wish(options_of(pairs["deidentify"].split(",")), pairs.get("project", "")[:64])
    return Wish() if pairs.get("anonymize", "").lower() == "yes" else None


async def deidentified(ctx: PluginContext, opened: Opened, wish: Wish) -> AsyncIterator[bytes]:
    """Yield a Part 10 object without identity.

    Raises:
        CodecFailure: before the first byte, where nobody can know what the object says of whom.
    """
    yield (await anonymous(ctx, opened, wish)).body


async def anonymous(ctx: PluginContext, opened: Opened, wish: Wish) -> Anonymous:
    """Return an object without identity. Raises CodecFailure."""
    settings = settings_of(ctx)
    await asyncio.to_thread(import_module, "dicomweb.pixels.codec")  # a third of a second, once
    if opened.instance.size > settings.deidentify_object:
        raise CodecFailure(f"objects of more than {settings.deidentify_object} bytes are not de-identified")
    key = (await key_of(ctx)).derived(wish.project)
    pool = cast("PixelCodec", codec(ctx)).pool
    try:
        done: dict[str, Any] = await pool.run(
            "deidentify",
            content=await _content(ctx, opened),
            options=wish.options.plain(),
            secret=key.secret,
            boxes=list(settings.deidentify_boxes),
        )
    except PixelFailure as failure:
        raise CodecFailure(failure.text) from failure
    return Anonymous(bytes(done["body"]), done["study"], done["series"], done["instance"])


async def _content(ctx: PluginContext, opened: Opened) -> bytes:
    old = opened.instance.transfer_syntax == BIG_ENDIAN
    chunks = codec(ctx).transcoded(opened, EXPLICIT) if old else opened.chunks()
    return b"".join([chunk async for chunk in chunks])


async def key_of(ctx: PluginContext) -> Key:
    """Return the key of the tenant; it is made when it is first needed."""
    found = await ctx.store.get(SECRETS.name, _KEY)
    if found is None:
        made = RecordChange(SECRETS.name, _KEY, {"key": secrets.token_hex(32)}, expected=0)
        with suppress(RecordChanged):  # somebody else may make it in this moment
            await ctx.store.put(made)
        found = await ctx.store.get(SECRETS.name, _KEY)
    assert found is not None
    return Key(bytes.fromhex(str(found.value["key"])))
