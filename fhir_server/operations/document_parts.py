"""What a document is made of: the composition, what it refers to, and what those refer to, each once.

Spec: https://hl7.org/fhir/R4/documents.html#content
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.context import Context
from fhir_server.interactions.visibility import visible_version
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version

_LOCAL = re.compile(r"([A-Z][A-Za-z]{1,60})/([A-Za-z0-9\-.]{1,64})(?:/_history/([1-9][0-9]{0,14}))?", re.ASCII)
_AT_ONCE = 500
_OTHER_DOCUMENTS = "relatesTo"
"""What a composition replaces or appends to is another document, no content of this one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The versions of a document, its composition first, and the references that lead to nothing in it."""

    versions: tuple[Version, ...]
    missing: tuple[str, ...]


class _Target(NamedTuple):
    key: ResourceKey
    version: int | None


async def gather(ctx: Context, composition: Version) -> Parts:
    """Find what the composition refers to, in its sections however deep, and one step beyond.

    What the caller may not see is missing, just as what is not there or elsewhere. References of the second step that
    lead to nothing are not told: the composition does not attest to them.
    """
    content = decode(composition.body.data)
    content.pop(_OTHER_DOCUMENTS, None)
    named = dict.fromkeys(_references(content))
    targets = {text: target for text in named if (target := _target(ctx, text)) is not None}
    direct = await _current(ctx, targets.values())
    missing = tuple(text for text in named if targets.get(text) not in direct)
    bodies = [decode(version.body.data) for version in direct.values()]
    beyond = dict.fromkeys(_target(ctx, text) for body in bodies for text in _references(body))
    indirect = await _current(ctx, (target for target in beyond if target is not None))
    found = [composition, *direct.values(), *indirect.values()]
    return Parts(tuple({(version.key, version.version): version for version in found}.values()), missing)


def _references(value: Any) -> Iterator[str]:
    """Yield the references in a resource, but for those to what it contains."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str) and not text.startswith("#"):
            yield text
        for item in value.values():
            yield from _references(item)


def _target(ctx: Context, text: str) -> _Target | None:
    """Return what a reference names on this server; None for what lies elsewhere."""
    found = _LOCAL.fullmatch(text.removeprefix(f"{ctx.base}/"))
    if found is None or found[1] not in ctx.definitions.resource_types:
        return None
    return _Target(ResourceKey(found[1], found[2]), int(found[3]) if found[3] else None)


async def _current(ctx: Context, targets: Iterable[_Target]) -> dict[_Target, Version]:
    """Return what there is and the caller may see, in the order in which it was referred to."""
    wanted = [one for one in dict.fromkeys(targets) if ctx.restriction.may(_interaction(one), one.key.type)]
    keys = [target.key for target in wanted if target.version is None]
    current: dict[ResourceKey, Version] = {}
    for start in range(0, len(keys), _AT_ONCE):
        current |= await ctx.store.read_many(keys[start : start + _AT_ONCE])
    found: dict[_Target, Version] = {}
    for target in wanted:
        version = await _version(ctx, target, current)
        if version is not None and not version.deleted and await visible_version(ctx, version):
            found[target] = version
    return found


async def _version(ctx: Context, target: _Target, current: dict[ResourceKey, Version]) -> Version | None:
    if target.version is None:
        return current.get(target.key)
    return await ctx.store.read_version(target.key, target.version)


def _interaction(target: _Target) -> str:
    return "read" if target.version is None else "vread"
