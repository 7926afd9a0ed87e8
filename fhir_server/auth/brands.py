"""User-access brands: which names and marks patients know the owner of this server by, from a file of the operator.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from fhir_server.settings import Settings

Json = Mapping[str, Any]
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_REASONS = frozenset(("asked-declined", "asked-unknown"))
_WEB = "urn:ietf:rfc:3986"


class BadBrands(Exception):
    """A brands file that apps could not use; the message says why."""


@dataclass(frozen=True, slots=True)
class Brands:
    """A brand bundle as it is served, its weak ETag, and the identifier of the primary brand."""

    body: bytes
    etag: str
    identifier: Mapping[str, str]


def load_brands(settings: Settings) -> Brands | None:
    """Return the brands of the file that the settings name. Raises BadBrands."""
    if settings.brands_file is None:
        return None
    return read_brands(_content(settings.brands_file), settings.brand_identifier)


def read_brands(body: bytes, primary: str = "") -> Brands:
    """Check a brand bundle; `primary` is the identifier of the primary brand, as `system|value` or its value.

    Raises:
        BadBrands: it breaks a rule of the specification.
    """
    try:
        bundle = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadBrands(f"the brands are not JSON: {error}") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle" or bundle.get("type") != "collection":
        raise BadBrands("the brands are not a Bundle of type collection")
    if not bundle.get("timestamp"):
        raise BadBrands("the brands need Bundle.timestamp, the time of their last change")
    entries = [entry for entry in bundle.get("entry", ()) if isinstance(entry.get("resource"), dict)]
    brands = [entry["resource"] for entry in entries if entry["resource"].get("resourceType") == "Organization"]
    if not brands:
        raise BadBrands("the brands hold no Organization")
    for reason in _reasons(bundle):
        if reason not in _REASONS:
            raise BadBrands(f"data-absent-reason {str(reason)[:80]!r} is none of {', '.join(sorted(_REASONS))}")
    found = _primary(brands, primary)
    _check_endpoints(entries, found[0])
    return Brands(body, f'W/"{blake2b(body, digest_size=12).hexdigest()}"', found[1])


def _primary(brands: list[Json], wanted: str) -> tuple[Json, Mapping[str, str]]:
    """Return the primary brand with its identifier: the one that is named, else that of the only brand."""
    if not wanted and len(brands) > 1:
        raise BadBrands("there are several brands, so the setting brand_identifier has to name the primary one")
    system, _, value = wanted.rpartition("|")
    found = [
        (brand, identifier)
        for brand in brands
        for identifier in brand.get("identifier", ())
        if identifier.get("value")
        and (not wanted or (identifier["value"] == value and system in ("", _system(identifier))))
    ]
    if wanted and len(found) != 1:
        raise BadBrands(f"{len(found)} brands have the identifier {wanted!r}; exactly one has to")
    if not found:
        raise BadBrands("the brand needs an identifier with a value")
    brand, chosen = next((each for each in found if _system(each[1]) == _WEB), found[0])
    return brand, {name: chosen[name] for name in ("system", "value") if chosen.get(name)}


def _check_endpoints(entries: list[Json], primary: Json) -> None:
    """The primary brand leads to every endpoint of the bundle, by a reference or the URL of its entry."""
    named = {str(each.get("reference", "")) for each in primary.get("endpoint", ())}
    for entry in entries:
        resource = entry["resource"]
        if resource.get("resourceType") != "Endpoint":
            continue
        if not named & {f"Endpoint/{resource.get('id')}", str(entry.get("fullUrl"))}:
            raise BadBrands(f"the primary brand does not refer to Endpoint/{resource.get('id')}")


def _reasons(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _reasons(each)
    elif isinstance(value, dict):
        if value.get("url") == _ABSENT:
            yield value.get("valueCode")
        for each in value.values():
            yield from _reasons(each)


def _system(identifier: Json) -> str:
    return str(identifier.get("system", ""))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadBrands(f"{path}: {error.strerror}") from None
