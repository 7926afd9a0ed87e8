"""The entries of a Bundle by full URL, and which of them a reference in one of them means.

Spec: https://hl7.org/fhir/R4/bundle.html#references
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.resources.values import child, objects, text

Json = Mapping[str, Any]

_absolute = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:")
_rest = re.compile(r"(?P<base>https?://.+/)(?P<type>[A-Z][A-Za-z0-9]*)/(?P<id>[A-Za-z0-9.\-]{1,64})")
_relative = re.compile(r"(?P<type>[^/\s]+)/(?P<id>[^/\s]+)(?:/_history/(?P<version>[^/\s]+))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `resource` is empty where it has none."""

    index: int
    url: str
    resource: Json

    @property
    def name(self) -> str:
        """Return `Patient/1`."""
        return f"{text(self.resource, 'resourceType')}/{text(self.resource, 'id')}"


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference means within a Bundle: a full URL, of a version or any, and of a type where it says so."""

    url: str
    version: str = ""
    type: str = ""


def is_absolute(url: str) -> bool:
    """Tell whether a URL has a scheme."""
    return _absolute.match(url) is not None


def rest_parts(url: str, types: frozenset[str] | tuple[str, ...]) -> tuple[str, str] | None:
    """Return type and id of a full URL that reads as that of a RESTful server."""
    found = _rest.fullmatch(url)
    return (found["type"], found["id"]) if found and found["type"] in types else None


class Entries:
    """The entries of one Bundle; `strict` where a relative reference has no server to be relative to."""

    def __init__(self, bundle: Json, *, strict: bool = True) -> None:
        self.strict = strict
        self.all = [Entry(i, text(one, "fullUrl"), child(one, "resource")) for i, one in objects(bundle, "entry")]
        self._by_url: dict[str, list[Entry]] = {}
        self._by_name: dict[str, list[Entry]] = {}
        for entry in self.all:
            if entry.resource:
                self._by_url.setdefault(entry.url, []).append(entry)
                self._by_name.setdefault(entry.name, []).append(entry)

    def target(self, source: str, reference: str) -> Target | None:
        """Return what a reference means in the resource with this full URL; None where it has no meaning there."""
        if is_absolute(reference):
            url, _, version = reference.partition("/_history/")
            return Target(url, version)
        found = _relative.fullmatch(reference)
        if found is None or not source:
            return None
        version = found["version"] or ""
        if source.startswith("urn:"):
            # Strictly nothing relative means anything here; the common use (urn:uuid: and Type/uuid) is followed.
            return Target(source.rpartition(":")[0] + ":" + found["id"], version, found["type"])
        base = source.rsplit("/", 2)[0]
        return Target(f"{base}/{found['type']}/{found['id']}", version, found["type"])

    def matches(self, target: Target) -> list[Entry]:
        """Return the entries that a reference means; more than one is a fault."""
        found = self._by_url.get(target.url, []) if target.url else []
        if not target.version:
            return found
        return [one for one in found if text(child(one.resource, "meta"), "versionId") == target.version]

    def meant(self, source: str, reference: str) -> list[Entry]:
        """Return the entries that a reference in the resource with this full URL means."""
        target = self.target(source, reference)
        return self.matches(target) if target else []

    def same_name(self, reference: str) -> list[Entry]:
        """Return the entries whose resource has the type and id of a reference, whatever their full URL is."""
        found = _relative.fullmatch("/".join(reference.partition("/_history/")[0].rsplit("/", 2)[-2:]))
        return self._by_name.get(f"{found['type']}/{found['id']}", []) if found else []
