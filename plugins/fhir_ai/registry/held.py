"""Held: models that were registered, loaded from their blobs in this process and held to their signature there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fhir_ai.inputs.finder import learn
from fhir_ai.models import MODELS, Model, ModelUnavailable, Package
from fhir_ai.models.manifest import parse_manifest
from fhir_ai.models.shipped import RELEASE_KEY
from fhir_ai.models.signing import Signature
from fhir_ai.registry.records import Kept, key_of
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_server.plugin_api import Alert, PluginContext, raise_alert


class Bytes:
    """The bytes of a graph, there while it is being loaded."""

    def __init__(self) -> None:
        self.content: bytes | None = None

    def __call__(self) -> bytes:
        """Return them. Raises ModelUnavailable: they were not read."""
        if self.content is None:
            raise ModelUnavailable("the file of the model was not read")
        return self.content


@dataclass(frozen=True, slots=True)
class Entry:
    """One version as it is listed. blob: of its graph; empty for one that came with the server."""

    model: Model
    retired: bool = False
    registered: int = 0
    by: str = "shipped"
    blob: str = ""
    bytes: Bytes | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.model.manifest.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.model.manifest.version


def shipped(name: str, version: str) -> Model | None:
    """Return a version that came with the server."""
    found = MODELS.get(name)
    return found if found is not None and found.manifest.version == version else None


def entry_of(ctx: PluginContext, found: Kept) -> Entry:
    """Return the entry of a version that was registered, the same each time in this process."""
    entries = held(ctx)
    key = key_of(found.name, found.version)
    known = entries.get(key)
    if known is None or known.retired != found.retired or known.blob != found.blob:
        held_bytes = Bytes()
        signature = Signature(found.key, found.signature)
        package = package_of(ctx, (found.manifest, found.card), signature, held_bytes)
        known = Entry(Model(package), found.retired, found.registered, found.by, found.blob, held_bytes)
        entries[key] = known
        for each in package.manifest.features:
            if each.codes and each.name not in VOCABULARY:
                learn(each.name, each.codes)
    return known


def held(ctx: PluginContext) -> dict[str, Entry]:
    """Return the entries that this process knows of the tenant."""
    found: dict[str, Entry] = ctx.shared.setdefault(f"models:{ctx.tenant}", {})
    return found


def package_of(ctx: PluginContext, texts: tuple[str, str], signature: Signature | None, content: Any) -> Package:
    """Return the package of texts of a manifest and a card. Raises ModelUnavailable."""
    manifest, card = texts
    named = parse_manifest(manifest, "offered")
    return Package(named, manifest, card, signature, content, (RELEASE_KEY, *ctx.settings.model_keys))


async def loaded(ctx: PluginContext, entry: Entry) -> Model:
    """Return the model of an entry, read from where it lies, checked and loaded.

    Raises:
        ModelUnavailable: it cannot be used; an alarm is raised, for somebody has to look.
    """
    model = entry.model
    if model.is_loaded:
        return model
    try:
        if entry.bytes is not None:
            entry.bytes.content = await _read(ctx, entry)
        await asyncio.to_thread(model.load)
    except ModelUnavailable as error:
        raise_alert(Alert("model-unusable", ctx.tenant, str(error), key_of(entry.name, entry.version)))
        raise
    finally:
        if entry.bytes is not None and model.is_loaded:
            entry.bytes.content = None
    return model


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Yield bytes as one chunk."""
    yield content


async def _read(ctx: PluginContext, entry: Entry) -> bytes:
    try:
        return b"".join([chunk async for chunk in await ctx.store.open(entry.blob)])
    except Exception as error:  # what an engine raises for a blob that was damaged is its own
        raise ModelUnavailable(f"the file of the model {entry.name!r} cannot be read") from error
