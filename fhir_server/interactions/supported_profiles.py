"""The profiles in force beside those of R4 itself, as a CapabilityStatement names them.

Spec: https://hl7.org/fhir/R4/profiling.html#CapabilityStatement
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

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


def supported_profiles(library: Library) -> Mapping[str, Sequence[str]]:
    """Return the canonicals of the profiles of each resource type, sorted.

    A profile that is there in several versions is named with each of them, any other by its URL alone.
    """
    versions: dict[tuple[str, str], set[str]] = {}
    layer: Library | None = library
    while layer is not None and layer is not core_library():
        for type_, url, version in _profiles(layer):
            versions.setdefault((type_, url), set()).add(version)
        layer = layer.below
    found: dict[str, list[str]] = {}
    for (type_, url), several in sorted(versions.items()):
        found.setdefault(type_, []).extend(_canonicals(url, sorted(several)))
    return found


def _canonicals(url: str, versions: Sequence[str]) -> Iterator[str]:
    if len(versions) == 1:
        yield url
    else:
        yield from (f"{url}|{version}" if version else url for version in versions)


@lru_cache(maxsize=8)
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
