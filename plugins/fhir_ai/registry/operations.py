"""The operations of the registry, on the type Device: list, register, promote, roll back, stop, resume, retire."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fhir_ai.models import ModelUnavailable
from fhir_ai.models.package import read_signature
from fhir_ai.registry.held import Entry, loaded
from fhir_ai.registry.records import Aliases
from fhir_ai.registry.registry import Offered, Registry
from fhir_ai.scopes import hold_to
from fhir_server.plugin_api import (
    BadValue,
    Call,
    Operation,
    OperationFacts,
    Outputs,
    PluginContext,
    ScopeWords,
    decode,
    facts_of,
    instant,
)  # fmt: skip

MANAGE: Final = "__ai-models.manage"
SCOPES: Final = [ScopeWords(MANAGE, "register, promote, stop and roll back the learned models of the server")]
_PER_CENT: Final = 100
Pairs = list[tuple[str, Any]]


def operations() -> list[Operation]:
    """Return them all."""
    handlers = {
        "model-list": (_list, "Versions of models, and which of them serve."),
        "model-register": (_register, "Take in a signed version of a model."),
        "model-promote": (_promote, "Have a version serve, as champion or as challenger."),
        "model-rollback": (_rollback, "Go back to the champion of before."),
        "model-stop": (_stop, "Let a version answer no more."),
        "model-resume": (_resume, "Let a stopped version answer again."),
        "model-retire": (_retire, "Take a version out for good."),
    }
    return [Operation(_facts()[code], handler, said) for code, (handler, said) in handlers.items()]


def managers_only(ctx: PluginContext) -> None:
    """Hold the caller to the scope. Raises Forbidden."""
    hold_to(ctx, MANAGE)


async def _list(ctx: PluginContext, call: Call) -> Outputs:
    registry, wanted = Registry(ctx), call.inputs.one("name")
    aliases, verify = await registry.aliases(), bool(call.inputs.one("verify", False))
    found = [each for each in await registry.entries() if wanted in (None, each.name)]
    return Outputs([("model", await _told(ctx, each, aliases, verify=verify)) for each in found])


async def _register(ctx: PluginContext, call: Call) -> Outputs:
    managers_only(ctx)
    inputs = call.inputs
    offered = Offered(
        _text(inputs.one("manifest"), "manifest"), _text(inputs.one("card"), "card"),
        _bytes(inputs.one("file"), "file"), read_signature(str(inputs.one("signature"))),
    )  # fmt: skip
    registry = Registry(ctx)
    entry = await registry.register(offered)
    return Outputs([("model", await _told(ctx, entry, await registry.aliases()))])


async def _promote(ctx: PluginContext, call: Call) -> Outputs:
    managers_only(ctx)
    alias, canary = str(call.inputs.one("alias", "champion")), float(call.inputs.one("canary", 0))
    if alias not in ("champion", "challenger"):
        raise BadValue(f"alias is champion or challenger, not {alias[:40]!r}", expression="alias")
    if not 0 <= canary <= _PER_CENT or (canary and alias == "champion"):
        raise BadValue("canary is a percentage, 0 to 100, of a challenger", expression="canary")
    return _serving(await Registry(ctx).promote(*_named(call), alias, canary))


async def _rollback(ctx: PluginContext, call: Call) -> Outputs:
    managers_only(ctx)
    return _serving(await Registry(ctx).rollback(str(call.inputs.one("name"))))


async def _stop(ctx: PluginContext, call: Call) -> Outputs:
    managers_only(ctx)
    name, version = _named(call)
    await Registry(ctx).entry(name, version)
    return _serving(await Registry(ctx).stop(name, version, str(call.inputs.one("because"))))


async def _resume(ctx: PluginContext, call: Call) -> Outputs:
    managers_only(ctx)
    return _serving(await Registry(ctx).resume(*_named(call)))


async def _retire(ctx: PluginContext, call: Call) -> Outputs:
    managers_only(ctx)
    registry = Registry(ctx)
    entry = await registry.retire(*_named(call))
    return Outputs([("model", await _told(ctx, entry, await registry.aliases()))])


def _named(call: Call) -> tuple[str, str]:
    return str(call.inputs.one("name")), str(call.inputs.one("version"))


async def _told(ctx: PluginContext, entry: Entry, aliases: Mapping[str, Aliases], *, verify: bool = False) -> Pairs:
    manifest, serves = entry.model.manifest, aliases.get(entry.name, Aliases(entry.name))
    state = _state(entry, serves)
    signature = entry.model.package.signature
    told: Pairs = [
        ("name", manifest.name), ("version", manifest.version), ("title", manifest.title), ("kind", manifest.kind),
        ("state", state),
    ]  # fmt: skip
    if serves.challenger == entry.version:
        told.append(("canary", _decimal(serves.canary)))
    if entry.version in serves.stopped:
        told.append(("because", serves.stopped[entry.version]))
    told += [("sha256", manifest.sha256), *([("key", signature.key)] if signature else []), ("origin", entry.by)]
    if entry.registered:
        told.append(("registered", instant(entry.registered)))
    return [*told, *([pair async for pair in _verified(ctx, entry)] if verify else [])]


async def _verified(ctx: PluginContext, entry: Entry) -> Any:
    try:
        await loaded(ctx, entry)
        yield ("usable", True)
    except ModelUnavailable as error:
        yield ("usable", False)
        yield ("fault", str(error))


def _state(entry: Entry, serves: Aliases) -> str:
    if entry.retired:
        return "retired"
    if entry.version in serves.stopped:
        return "stopped"
    return {serves.challenger: "challenger", serves.champion: "champion"}.get(entry.version, "idle")


def _serving(serves: Aliases) -> Outputs:
    return Outputs([("serving", list(_parts(serves)))])


def _parts(serves: Aliases) -> Iterator[tuple[str, Any]]:
    yield "name", serves.name
    if serves.champion:
        yield "champion", serves.champion
    if serves.challenger:
        yield "challenger", serves.challenger
        yield "canary", _decimal(serves.canary)
    for version in serves.previous:
        yield "previous", version
    for version, because in serves.stopped.items():
        yield "stopped", [("version", version), ("because", because)]
    if serves.changed:
        yield "changed", instant(serves.changed)
        yield "by", serves.by or "not named"


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:g}")


def _bytes(text: Any, name: str) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error:
        raise BadValue(f"{name} is not base64", expression=name) from None


def _text(text: Any, name: str) -> str:
    try:
        return _bytes(text, name).decode()
    except UnicodeDecodeError:
        raise BadValue(f"{name} is not text in UTF-8", expression=name) from None


@cache
def _facts() -> Mapping[str, OperationFacts]:
    found = decode(files("fhir_ai.registry").joinpath("operations.json").read_bytes())
    return {each["code"]: facts_of(each) for each in found}
