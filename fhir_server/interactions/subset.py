"""`_summary` and `_elements`: a resource cut down to what was asked for, and marked as such.

Spec: https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from fhir_server.definitions import Definitions, Element
from fhir_server.errors import BadValue
from fhir_server.model.exchange import Query
from fhir_server.model.json import decode, encode, items, members
from fhir_server.model.version import Version

_ALWAYS = ("resourceType", "id", "meta")
_TAG = b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}'
_SUMMARIES = ("true", "text", "data", "count", "false")
_ANY_DEPTH = 1_000_000
_LOCAL = re.compile(rb'"reference"\s*:\s*"#([^"]+)"')


@dataclass(frozen=True, slots=True)
class Subset:
    """What to keep: the summary elements, the narrative, everything but the narrative, or named elements."""

    kind: Literal["true", "text", "data", "elements"]
    elements: frozenset[str] = frozenset()


def asked(query: Query) -> Subset | None:
    """Return what the parameters of a read ask for; None for the whole resource.

    Raises:
        BadValue: `_summary` is none of the five words.
    """
    values = dict(query)
    summary = values.get("_summary", "")
    if summary and summary not in _SUMMARIES:
        raise BadValue(f"_summary={summary[:100]}: one of {', '.join(_SUMMARIES)}", expression="http._summary")
    if summary in ("true", "text", "data"):
        return Subset(summary)  # type: ignore[arg-type]  # mypy does not narrow by `in`
    names = named(value for name, value in query if name == "_elements")
    return Subset("elements", names) if names else None


def named(values: Iterable[str]) -> frozenset[str]:
    """Return the top-level elements that values of `_elements` name; `Patient.name` and `value[x]` are understood."""
    return frozenset(part.strip() for value in values for part in value.split(",") if part.strip())


def cut(definitions: Definitions, version: Version, wanted: Subset) -> bytes:
    """Return the stamped resource with only what is wanted, tagged SUBSETTED."""
    return cut_resource(definitions, version.key.type, version.stamped(), wanted)


def cut_resource(definitions: Definitions, type_: str, raw: bytes, wanted: Subset) -> bytes:
    """Do the same with a resource that is no version."""
    if wanted.kind == "true":
        return _tagged(_with_contained(_summary(definitions, type_, raw), raw))
    parts = members(raw)
    keep = _kept(definitions, type_, wanted, parts)
    return _tagged(_with_contained({name: value for name, value in parts.items() if name in keep}, raw))


def _with_contained(parts: Mapping[str, bytes], raw: bytes) -> Mapping[str, bytes]:
    """Add the contained resources that what was kept refers to: without them it would break `ref-1`."""
    wanted = set(_LOCAL.findall(b"".join(parts.values())))
    if not wanted or "contained" in parts:
        return parts
    left = {members(piece).get("id", b'""')[1:-1]: piece for piece in items(members(raw).get("contained", b"[]"))}
    kept: list[bytes] = []
    while found := [left.pop(id_) for id_ in wanted & left.keys()]:
        kept += found
        wanted = set(_LOCAL.findall(b"".join(found)))
    return {**parts, "contained": b"[" + b",".join(kept) + b"]"} if kept else parts


def _kept(definitions: Definitions, type_: str, wanted: Subset, parts: Mapping[str, bytes]) -> set[str]:
    if wanted.kind == "data":
        return {name for name in parts if name != "text"}
    chosen = {"text"} if wanted.kind == "text" else _elements(type_, wanted.elements)
    by_name = definitions.types[type_].by_name
    kept = {
        name for name, element in by_name.items() if element.min or name in chosen or element.name in chosen
    }  # fmt: skip
    return {*_ALWAYS, *kept, *(f"_{name}" for name in kept)}


def _elements(type_: str, names: Iterable[str]) -> set[str]:
    return {name.removeprefix(f"{type_}.").partition(".")[0].removesuffix("[x]") for name in names}


def _tagged(parts: Mapping[str, bytes]) -> bytes:
    meta = members(parts.get("meta", b"{}"))
    tags = [*items(meta.get("tag", b"[]")), _TAG]
    marked = _object({**meta, "tag": b"[" + b",".join(tags) + b"]"})
    return _object({**parts, "meta": marked})


def _object(parts: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join([b'"' + name.encode() + b'":' + value for name, value in parts.items()]) + b"}"


def _summary(definitions: Definitions, type_: str, raw: bytes) -> dict[str, bytes]:
    resource = decode(raw, max_depth=_ANY_DEPTH)
    return {name: encode(value) for name, value in _pruned(definitions, type_, resource).items()}


def _pruned(definitions: Definitions, type_: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its summary elements and mandatory ones, all the way down."""
    shape = summary_shape(definitions, type_)
    found: dict[str, Any] = {}
    for name, item in value.items():
        bare = name.removeprefix("_")
        if bare in shape:
            found[name] = _pruned_item(definitions, shape[bare], item)
        elif name in _ALWAYS and "resourceType" in value:
            found[name] = item
    return found


def _pruned_item(definitions: Definitions, below: str | None, item: Any) -> Any:
    if isinstance(item, list):
        return [_pruned_item(definitions, below, each) for each in item]
    if below is None or not isinstance(item, dict):
        return item
    if below == "Resource":
        below = item.get("resourceType", below)
    return _pruned(definitions, below, item) or item


@lru_cache(maxsize=1024)
def summary_shape(definitions: Definitions, type_: str) -> Mapping[str, str | None]:
    """Return the JSON names that a summary of the type keeps, with the type to cut below each (None: leave whole)."""
    definition = definitions.types[type_]
    flagged = any(element.summary for element in definition.elements)
    return {
        name: _below(definitions, element, name)
        for name, element in definition.by_name.items()
        if element.summary or element.min or not flagged
    }


def _below(definitions: Definitions, element: Element, name: str) -> str | None:
    if element.type_key:
        return element.type_key
    of = element.json_names.get(name)
    if of is None or of.code == "Extension" or of.code not in definitions.types:
        return None
    definition = definitions.types[of.code]
    return of.code if definition.kind in ("complex-type", "resource") else None
