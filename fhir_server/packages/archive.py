"""Reads an IG package: what its manifest says, and its conformance resources without their narratives.

Spec: https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fhir_server.model.json import JsonError, decode, encode, members, minify
from fhir_server.packages.library import CANONICAL_TYPES, Entry
from fhir_server.packages.tar import DEFAULT_LIMITS, Limits, PackageError, files_of

__all__ = ["Limits", "Package", "PackageError", "examples_of", "read_package"]

MANIFEST = "package/package.json"
FHIR_VERSION = re.compile(r"4\.0(\.\d+)?")
CORE_PACKAGES = ("hl7.fhir.r4.core", "hl7.fhir.core")

_RESOURCE = re.compile(r"package/(?!\.)[^/]+\.json")
_EXAMPLE = re.compile(r"(?:package/)?examples?/(?!\.)[^/]+\.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-+]{0,63}")
_GUIDE = "ImplementationGuide"


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Package:
    """One package as it is in force.

    `canonical` is the URL that its resources begin with, `guide` the canonical of its ImplementationGuide (or empty),
    `dependencies` version by name, `sha256` and `size` those of the .tgz.
    """

    name: str
    version: str
    canonical: str
    title: str
    licence: str
    guide: str
    dependencies: Mapping[str, str]
    entries: tuple[Entry, ...]
    sha256: str
    size: int

    @property
    def id(self) -> str:
        """Name and version, such as `hl7.fhir.us.core#6.1.0`."""
        return f"{self.name}#{self.version}"

    def counts(self) -> Mapping[str, int]:
        """Return the number of resources by type."""
        return dict(sorted(Counter(entry.type for entry in self.entries).items()))


def read_package(data: bytes, limits: Limits = DEFAULT_LIMITS, *, known_good: bool = False) -> Package:
    """Read a .tgz.

    Args:
        known_good: it was read before, so its resources need not be parsed to the last member again.

    Raises:
        PackageError: broken, hostile, not for FHIR 4.0; the message names the file inside.
    """
    manifest: Mapping[str, Any] | None = None
    resources: list[tuple[str, Mapping[str, bytes]]] = []
    for file, content in files_of(data, limits, _is_resource):
        if file == MANIFEST:
            manifest = _manifest(content)
        else:
            parts = _resource(file, content, known_good)
            if parts is not None:
                resources.append((file, parts))
    if manifest is None:
        raise PackageError(f"{MANIFEST} is missing: it is no FHIR package")
    name, version = _named(manifest, "name", _NAME), _named(manifest, "version", _VERSION)
    _check_version(manifest)
    return Package(
        name=name,
        version=version,
        canonical=_text(manifest, "canonical"),
        title=_text(manifest, "title"),
        licence=_text(manifest, "license"),
        guide=_guide(resources, name),
        dependencies=_dependencies(manifest),
        entries=tuple(_entries(f"{name}#{version}", resources)),
        sha256=sha256(data).hexdigest(),
        size=len(data),
    )


def examples_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[str, bytes]]:
    """Yield file name and bytes of each example of a package. Raises PackageError."""
    return files_of(data, limits, lambda name: _EXAMPLE.fullmatch(name) is not None)


def _is_resource(name: str) -> bool:
    return _RESOURCE.fullmatch(name) is not None


def _manifest(content: bytes) -> Mapping[str, Any]:
    found = _decoded(MANIFEST, content)
    if not isinstance(found, dict):
        raise PackageError(f"{MANIFEST} is not an object")
    return found


def _decoded(file: str, content: bytes) -> Any:
    try:
        return decode(content)
    except JsonError as error:
        raise PackageError(f"{file}: {error}") from None


def _resource(file: str, content: bytes, known_good: bool) -> Mapping[str, bytes] | None:
    """Return the members of a resource that a library holds, or of a guide; None for anything else."""
    if not known_good and not isinstance(_decoded(file, content), dict):
        raise PackageError(f"{file} is not an object")
    try:
        parts = members(minify(content))
    except JsonError as error:
        raise PackageError(f"{file}: {error}") from None
    type_ = _member(parts, "resourceType")
    if type_ not in CANONICAL_TYPES and type_ != _GUIDE:
        return None
    parts.pop("text", None)
    return parts


def _entries(package: str, resources: Iterable[tuple[str, Mapping[str, bytes]]]) -> Iterator[Entry]:
    for file, parts in resources:
        type_ = _member(parts, "resourceType")
        if type_ != _GUIDE:
            id_ = _member(parts, "id") or file.rpartition("/")[2].removesuffix(".json")
            data = b"{" + b",".join([encode(name) + b":" + value for name, value in parts.items()]) + b"}"
            url, version = _member(parts, "url"), _member(parts, "version")
            yield Entry(f"{package}/{type_}/{id_}", type_, url, version, data, package)


def _guide(resources: Iterable[tuple[str, Mapping[str, bytes]]], name: str) -> str:
    """Return the canonical of the guide that the package is of; an example of another may stand beside it."""
    found = [parts for _, parts in resources if _member(parts, "resourceType") == _GUIDE and _member(parts, "url")]
    own = next((parts for parts in found if _member(parts, "packageId") == name), found[0] if found else None)
    if own is None:
        return ""
    version = _member(own, "version")
    return _member(own, "url") + (f"|{version}" if version else "")


def _member(parts: Mapping[str, bytes], name: str) -> str:
    value = decode(parts[name]) if name in parts else ""
    return value if isinstance(value, str) else ""


def _text(manifest: Mapping[str, Any], name: str) -> str:
    value = manifest.get(name)
    return value if isinstance(value, str) else ""


def _named(manifest: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = _text(manifest, name)
    if not form.fullmatch(value):
        raise PackageError(f"{MANIFEST}: {name} is {value[:80]!r}, which is none")
    return value


def _dependencies(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    """Return version by name; `us.core@npm:hl7.fhir.us.core` is another name for a package."""
    found = manifest.get("dependencies")
    if not isinstance(found, dict):
        return {}
    return {name.rpartition("@npm:")[2]: version for name, version in found.items() if isinstance(version, str)}


def _check_version(manifest: Mapping[str, Any]) -> None:
    """Refuse what is not for FHIR 4.0; where nothing is said, the core package that it depends on says it."""
    said = manifest.get("fhirVersions", manifest.get("fhir-version-list"))
    versions = [version for version in said if isinstance(version, str)] if isinstance(said, list) else []
    if not versions:
        needs = _dependencies(manifest)
        versions = [needs[core] for core in CORE_PACKAGES if core in needs]
    if not any(FHIR_VERSION.fullmatch(version) for version in versions):
        stated = f"is for FHIR {', '.join(versions)[:80]}" if versions else "does not say which FHIR version it is for"
        raise PackageError(f"{MANIFEST}: the package {stated}; this server is FHIR 4.0.1")
