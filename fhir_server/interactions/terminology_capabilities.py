"""The TerminologyCapabilities of this server: the code systems that it knows, and what it can do with them.

Spec: https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from fhir_server.context import Operations
from fhir_server.packages import Entry
from fhir_server.terminology import Terminology

_EXPAND = "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"
_WITHOUT_EFFECT = frozenset(("date", "contextDirection"))
_USABLE = ("complete", "fragment")
_TEXT_FILTER = (
    "Concepts of which the display, the code or a designation holds all words of the filter; case and accents do not "
    "count."
)
_OPERATORS = frozenset(("=", "is-a", "descendent-of", "is-not-a", "regex", "in", "not-in", "generalizes", "exists"))


class _Coded(msgspec.Struct):
    code: str = ""
    operator: list[str] = []


class _Head(msgspec.Struct):
    """What a CodeSystem says of itself; its concepts are not read."""

    content: str = ""
    compositional: bool = False
    language: str = ""
    property: list[_Coded] = []
    filter: list[_Coded] = []


_head = msgspec.json.Decoder(_Head)


def terminology_body(terminology: Terminology, operations: Operations) -> dict[str, Any]:
    """Return what a TerminologyCapabilities says beside its head."""
    parameters = [{"name": name} for name in _expansion_parameters(operations)]
    expansion = {"hierarchical": True, "paging": True, "incomplete": False, "textFilter": _TEXT_FILTER}
    return {
        "codeSystem": _systems(terminology),
        "expansion": expansion | ({"parameter": parameters} if parameters else {}),
        "codeSearch": "explicit",
        "validateCode": {"translations": True},
        "translation": {"needsMap": True},
        "closure": {"translation": False},
    }


def _expansion_parameters(operations: Operations) -> Iterable[str]:
    for facts in operations.facts:
        if facts.url == _EXPAND:
            names = {parameter.name for parameter in facts.parameters if parameter.use == "in"}
            return sorted(names - _WITHOUT_EFFECT)
    return ()


_listed: WeakKeyDictionary[Terminology, list[dict[str, Any]]] = WeakKeyDictionary()


def _systems(terminology: Terminology) -> list[dict[str, Any]]:
    """Return every code system with its versions, the latest first; kept for as long as the service is."""
    if terminology not in _listed:
        _listed[terminology] = _all_systems(terminology)
    return _listed[terminology]


def _all_systems(terminology: Terminology) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for entry, head in _usable(terminology):
        found.setdefault(entry.url, []).append(_version(entry, head))
    provider = terminology.sources.provider
    for url in provider.urls():
        held = found.setdefault(url, [])
        known = {each.get("code") for each in held}
        held += [{"code": version} if version else {} for version in provider.versions(url) if version not in known]
    return [_system(terminology, url, found[url]) for url in sorted(found)]


def _usable(terminology: Terminology) -> Iterator[tuple[Entry, _Head]]:
    """Yield the code systems of the library that codes can be looked up in."""
    seen: set[tuple[str, str]] = set()
    for entry in terminology.library.all("CodeSystem"):
        if entry.url and (entry.url, entry.version) not in seen:
            seen.add((entry.url, entry.version))
            head = _read(entry)
            if head.content in _USABLE:
                yield entry, head


def _read(entry: Entry) -> _Head:
    try:
        return _head.decode(entry.data)
    except msgspec.ValidationError:  # stored where validation is switched off
        return _Head()


def _version(entry: Entry, head: _Head) -> dict[str, Any]:
    made: dict[str, Any] = {"code": entry.version, "compositional": head.compositional}
    made["language"] = [head.language] if head.language else []
    filters = ((each.code, [op for op in each.operator if op in _OPERATORS]) for each in head.filter)
    made["filter"] = [{"code": code, "op": operators} for code, operators in filters if code and operators]
    made["property"] = [each.code for each in head.property if each.code]
    return {name: value for name, value in made.items() if value not in ("", [], False)}


def _system(terminology: Terminology, url: str, versions: list[dict[str, Any]]) -> dict[str, Any]:
    told = [each for each in versions if each]
    if len(told) > 1:
        latest = next(iter(terminology.versions(url)), "")
        told = [each | {"isDefault": True} if each.get("code") == latest else each for each in told]
    return {"uri": url} | ({"version": told} if told else {}) | {"subsumption": True}
