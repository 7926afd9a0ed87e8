"""Registry: register, promote, roll back, stop and retire versions of models; every process heeds it at once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fhir_ai.models import MODELS, Model, ModelRefused, ModelUnavailable
from fhir_ai.models.package import check_hash
from fhir_ai.models.signing import Signature
from fhir_ai.registry.held import Entry, entry_of, held, loaded, once, package_of, shipped
from fhir_ai.registry.machines import machine_of
from fhir_ai.registry.records import Aliases, Kept, all_aliases, all_kept, kept, key_of
from fhir_ai.scores import SCORES
from fhir_server.plugin_api import (
    BadValue,
    BlobChange,
    Conflict,
    InvalidResource,
    Issue,
    NotFound,
    PluginContext,
    RecordChanged,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offered:
    """What comes to be registered: the texts of manifest and card, the graph and the signature."""

    manifest: str
    card: str
    content: bytes
    signature: Signature | None


class Registry:
    """The models of one tenant, as one piece of work sees them."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx

    async def aliases(self) -> Mapping[str, Aliases]:
        """Return what serves, by name; a shipped model serves until somebody decides otherwise."""
        stored = await all_aliases(self._ctx.store)
        for name, model in MODELS.items():  # a release may ship another version than the one that served before it
            serves = stored.get(name)
            if serves is not None and serves.champion and not await self._is_there(name, serves.champion):
                stored[name] = replace(serves, champion=model.manifest.version)
        shipped = {name: Aliases(name, model.manifest.version) for name, model in MODELS.items()}
        return {**shipped, **stored}

    async def entries(self) -> list[Entry]:
        """Return all versions, those that were shipped first."""
        registered = [entry_of(self._ctx, each) for each in await all_kept(self._ctx.store)]
        return [*(Entry(model) for model in MODELS.values()), *registered]

    async def entry(self, name: str, version: str) -> Entry:
        """Return one version. Raises NotFound."""
        came = shipped(name, version)
        if came is not None:
            return Entry(came)
        known = held(self._ctx).get(key_of(name, version))
        if known is not None:
            return known
        found = await kept(self._ctx.store, name, version)
        if found is None:
            raise NotFound(f"there is no model {name[:64]} {version[:32]}; register it first")
        return entry_of(self._ctx, found)

    async def register(self, offered: Offered) -> Entry:
        """Take a version in: its form, hash and signature hold, and it computes.

        Raises:
            InvalidResource: it is refused, and why. Conflict: there is another one of this name and version.
        """
        model = await self._accepted(offered)
        name, version = model.manifest.name, model.manifest.version
        before = await kept(self._ctx.store, name, version)
        if before is not None:
            if (before.manifest, before.card) != (offered.manifest, offered.card):
                raise Conflict(f"there is another model {name} {version}; a version is never changed")
            return entry_of(self._ctx, before)
        blob = await self._ctx.store.stage(once(offered.content))
        signature = offered.signature or Signature("", "")
        made = Kept(
            name, version, offered.manifest, offered.card, signature.key, signature.value, blob.id, self._ctx.now(),
            who(self._ctx),
        )  # fmt: skip
        await machine_of(self._ctx, model)
        await self._ctx.store.keep(BlobChange(blob.id, attach=True), records=[made.put(0)])
        return entry_of(self._ctx, made)

    async def promote(self, name: str, version: str, alias: str, canary: float) -> Aliases:
        """Have a version serve: as the champion, or as a challenger to a share of the patients.

        Raises:
            NotFound: there is no such version. BadValue: it is retired, or cannot challenge. InvalidResource: it cannot
                be used now.
        """
        entry = await self.entry(name, version)
        found = await kept(self._ctx.store, name, version) if entry.blob else None
        if found is not None and found.retired:
            raise BadValue(f"{name} {version} is retired", expression="version")
        try:
            await loaded(self._ctx, entry)
        except ModelUnavailable as error:
            raise refusal(error) from error
        now = await self._aliases_of(name)
        if alias == "champion":
            return await self._put(now.crowned(version))
        if not now.champion or now.champion == version:
            said = "there is no champion yet" if not now.champion else "it is the champion"
            raise BadValue(f"{name} {version} cannot challenge: {said}", expression="alias")
        return await self._put(replace(now, challenger=version, canary=canary))

    async def rollback(self, name: str) -> Aliases:
        """Go back to the champion of before, and show nobody a challenger. Raises BadValue: there was none."""
        now = await self._aliases_of(name)
        if not now.previous and not now.challenger:
            raise BadValue(f"{name} had no champion before {now.champion or 'now'}", expression="name")
        if not now.previous:
            return await self._put(replace(now, challenger="", canary=0.0))
        return await self._put(now.rolled_back())

    async def stop(self, name: str, version: str, because: str) -> Aliases:
        """Let a version answer no more; published scores answer in its place."""
        now = await self._aliases_of(name)
        return await self._put(replace(now, stopped={**now.stopped, version: because}))

    async def resume(self, name: str, version: str) -> Aliases:
        """Let a stopped version answer again."""
        now = await self._aliases_of(name)
        return await self._put(replace(now, stopped={k: v for k, v in now.stopped.items() if k != version}))

    async def retire(self, name: str, version: str) -> Entry:
        """Take a version out for good. Raises BadValue: it serves, or came with the server."""
        entry = await self.entry(name, version)
        if not entry.blob:
            raise BadValue(f"{name} {version} came with the server: stop it instead", expression="version")
        now = await self._aliases_of(name)
        if now.champion == version:
            raise BadValue(
                f"{name} {version} is the champion: roll back or promote another first", expression="version"
            )
        found = await kept(self._ctx.store, name, version)
        assert found is not None
        await self._ctx.store.put(replace(found, retired=True).put())
        previous = tuple(each for each in now.previous if each != version)
        gone = now.challenger == version
        if gone or previous != now.previous:
            challenger, canary = ("", 0.0) if gone else (now.challenger, now.canary)
            await self._put(replace(now, previous=previous, challenger=challenger, canary=canary))
        return entry_of(self._ctx, replace(found, retired=True))

    async def _is_there(self, name: str, version: str) -> bool:
        if shipped(name, version) is not None or key_of(name, version) in held(self._ctx):
            return True
        return await kept(self._ctx.store, name, version) is not None

    async def _aliases_of(self, name: str) -> Aliases:
        found = (await self.aliases()).get(name)
        if found is None and not any(each.name == name for each in await self.entries()):
            raise NotFound(f"there is no model {name[:64]}")
        return found or Aliases(name)

    async def _put(self, changed: Aliases) -> Aliases:
        made = replace(changed, changed=self._ctx.now(), by=who(self._ctx))
        try:
            await self._ctx.store.put(made.put())
        except RecordChanged:
            raise Conflict(f"somebody else changed {changed.name} at the same time: look, and try again") from None
        return made

    async def _accepted(self, offered: Offered) -> Model:
        try:
            texts = (offered.manifest, offered.card)
            model = Model(package_of(self._ctx, texts, offered.signature, lambda: offered.content))
            check_hash(model.manifest, offered.content)
            model.card()
            _check_names(model)
            await asyncio.to_thread(model.load)
        except ModelUnavailable as error:
            raise refusal(error) from error
        return model


def refusal(error: ModelUnavailable) -> InvalidResource:
    """Return what a caller is told of a model that is not taken."""
    reason = error.reason if isinstance(error, ModelRefused) else "unusable"
    issue = Issue(f"{error} ({reason})", "invalid" if reason == "unusable" else "security")
    return InvalidResource(str(error), issues=[issue])


def who(ctx: PluginContext) -> str:
    """Return who changes something, as the record of the registry names them."""
    caller = ctx.caller
    return caller.subject or caller.name or caller.client


def _check_names(model: Model) -> None:
    manifest = model.manifest
    if manifest.name in SCORES:
        raise ModelRefused(f"{manifest.name} is the name of a published score", "name")
    if shipped(manifest.name, manifest.version) is not None:
        raise ModelRefused(f"{manifest.name} {manifest.version} came with the server", "name")
    unknown = [each for each in manifest.fallback if each not in SCORES]
    if unknown:
        raise ModelRefused(f"{unknown[0][:60]!r} is no published score that could stand in for it", "fallback")
