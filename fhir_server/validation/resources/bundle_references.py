"""References in the entries of a Bundle: to one entry, of the type they say.

Spec: https://hl7.org/fhir/R4/bundle.html#references
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.bundle_entries import Entries, Entry, Target
from fhir_server.validation.resources.paths import Keys, place_at, texts
from fhir_server.validation.resources.values import text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]


def check_references(entries: Entries, place: Place, run: Run, *, strict: bool) -> None:
    """Check every literal reference; `strict` where a relative one has no server to be relative to."""
    for entry in entries.all:
        if not entry.resource:
            continue
        type_ = text(entry.resource, "resourceType")
        for keys, reference in texts(entry.resource):
            if keys[-1] == "reference" and not reference.startswith("#"):
                fault = _fault(entries, entry, reference, strict=strict)
                if fault is not None:
                    at = _at(place, entry.index, type_, keys[:-1], run)
                    run.findings.add(fault[1], at.path(), fault[2], severity=fault[0])


def _at(place: Place, index: int, type_: str, keys: Keys, run: Run) -> Place:
    resource = Place(Place(place, "entry", index), "resource")
    return place_at(resource, type_, keys, run.knowledge.definitions)


def _fault(entries: Entries, entry: Entry, reference: str, *, strict: bool) -> tuple[str, str, str] | None:
    """Return severity, code and text of what is wrong with a reference."""
    target = entries.target(entry.url, reference)
    if target is None:
        return _no_target(entry, reference) if strict else None
    found = entries.matches(target)
    if len(found) > 1:
        return "error", "forbidden", f"{shorten(reference)} means {len(found)} entries of the Bundle"
    if found:
        return _wrong_type(found[0], target, reference)
    return _unresolved(entries, target, reference)


def _no_target(entry: Entry, reference: str) -> tuple[str, str, str] | None:
    if not entry.url:
        return (
            "error",
            "required",
            f"{shorten(reference)} is relative, but its entry has no fullUrl that it is relative to",
        )
    return "error", "invalid", f"a relative reference is Type/id, not {shorten(reference)}"


def _wrong_type(found: Entry, target: Target, reference: str) -> tuple[str, str, str] | None:
    type_ = text(found.resource, "resourceType")
    if target.type and type_ != target.type:
        return (
            "error",
            "required",
            f"{shorten(reference)} is to a {target.type}, but what it means in this Bundle is a {type_}",
        )
    return None


def _unresolved(entries: Entries, target: Target, reference: str) -> tuple[str, str, str] | None:
    if reference.startswith("urn:"):
        return "warning", "required", f"{shorten(reference)} is not in the Bundle"
    near = entries.same_name(reference)
    if not near:
        return None
    others = ", ".join(shorten(one.url) for one in near[:3])
    return (
        "warning",
        "required",
        f"no entry has the fullUrl {shorten(target.url)} that {shorten(reference)} means; near to it are {others}",
    )
