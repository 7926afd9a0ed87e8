"""The profiles in force beside those of R4 itself, as a CapabilityStatement names them.

Spec: https://hl7.org/fhir/R4/profiling.html#CapabilityStatement
"""

from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import msgspec

from fhir_server.packages import Library, core_library


class _Definition(msgspec.Struct):
    url: str = ""
    version: str = ""
    type: str = ""
    kind: str = ""
    derivation: str = ""
    status: str = ""


_definition = msgspec.json.Decoder(_Definition)

Supported = tuple[tuple[str, tuple[str, ...]], ...]
_supported: WeakKeyDictionary[Library, Supported] = WeakKeyDictionary()
_of_layers: WeakKeyDictionary[Library, Sequence[tuple[str, str, str]]] = WeakKeyDictionary()


def supported_profiles(library: Library) -> Supported:
    """Return the canonicals of the profiles of each resource type, sorted.

    A profile is named by its URL, one that is there in several versions with each of them too: suites look for either.
    """
    if library not in _supported:
        _supported[library] = _found(library)
    return _supported[library]


def _found(library: Library) -> Supported:
    versions: dict[tuple[str, str], set[str]] = {}
    layer: Library | None = library
    while layer is not None and layer is not core_library():
        if layer not in _of_layers:
            _of_layers[layer] = _profiles(layer)
        for type_, url, version in _of_layers[layer]:
            versions.setdefault((type_, url), set()).add(version)
        layer = layer.below
    found: dict[str, list[str]] = {}
    for (type_, url), several in sorted(versions.items()):
        found.setdefault(type_, []).extend(_canonicals(url, sorted(several)))
    return tuple((type_, tuple(canonicals)) for type_, canonicals in found.items())


def _canonicals(url: str, versions: Sequence[str]) -> Iterator[str]:
    yield url
    if len(versions) > 1:
        yield from (f"{url}|{version}" for version in versions if version)


def _profiles(layer: Library) -> Sequence[tuple[str, str, str]]:
    """Return type, URL and version of the profiles of one layer; what is stored may be misshapen and is passed over."""
    found: list[tuple[str, str, str]] = []
    for entry in layer.own("StructureDefinition"):
        try:
            read = _definition.decode(entry.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if (read.kind, read.derivation) == ("resource", "constraint") and read.url and read.status != "retired":
            found.append((read.type, read.url, read.version))
    return found
