"""References in the entries of a Bundle: to one entry, of the type they say.

Spec: https://hl7.org/fhir/R4/bundle.html#references
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.definitions import ElementType
from fhir_server.validation.place import Place
from fhir_server.validation.resources.bundle_entries import Entries, Entry, Target
from fhir_server.validation.resources.paths import Keys, look, texts
from fhir_server.validation.resources.values import text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]
Link = tuple[Keys, str]


def check_references(entries: Entries, place: Place, run: Run) -> None:
    """Check every literal reference."""
    for entry in entries.all:
        if not entry.resource:
            continue
        at = Place(Place(place, "entry", entry.index), "resource")
        for keys, reference in texts(entry.resource):
            if keys[-1] == "reference" and not reference.startswith("#"):
                _check(entries, entry, (keys[:-1], reference), at, run)


def _check(entries: Entries, entry: Entry, link: Link, place: Place, run: Run) -> None:
    keys, reference = link
    target = entries.target(entry.url, reference)
    meant = entries.matches(target) if target is not None else []
    if len(meant) == 1 and target is not None:
        found = look(entry.resource, keys, place, run.knowledge.definitions)
        wrong = _wrong_type(meant[0], target, reference) or _not_allowed(meant[0], found.type, reference)
        if wrong:
            run.error(found.place, *wrong)
        return
    fault = _fault(entries, entry, target, reference, len(meant))
    if fault is not None:
        severity, code, text_ = fault
        found = look(entry.resource, keys, place, run.knowledge.definitions)
        (run.error if severity == "error" else run.warn)(found.place, code, text_)


def _not_allowed(meant: Entry, element: ElementType | None, reference: str) -> tuple[str, str] | None:
    """Spec: https://hl7.org/fhir/R4/references.html#2.3.0 (the types that an element may refer to)"""
    type_ = text(meant.resource, "resourceType")
    if element is None or not element.targets or type_ in element.targets or "Resource" in element.targets:
        return None
    return "structure", f"{shorten(reference)} is to a {type_}; expected {', '.join(element.targets)}"


def _fault(
    entries: Entries, entry: Entry, target: Target | None, reference: str, count: int
) -> tuple[str, str, str] | None:
    """Return severity, code and text of what is wrong with a reference that does not mean one entry."""
    if target is None:
        return _no_target(entry, reference) if entries.strict else None
    if count:
        return "error", "forbidden", f"{shorten(reference)} means {count} entries of the Bundle"
    return _unresolved(entries, target, reference)


def _no_target(entry: Entry, reference: str) -> tuple[str, str, str] | None:
    if not entry.url:
        return (
            "error",
            "required",
            f"{shorten(reference)} is relative, but its entry has no fullUrl that it is relative to",
        )
    return "error", "invalid", f"a relative reference is Type/id, not {shorten(reference)}"


def _wrong_type(found: Entry, target: Target, reference: str) -> tuple[str, str] | None:
    type_ = text(found.resource, "resourceType")
    if target.type and type_ != target.type:
        return "required", f"{shorten(reference)} is to a {target.type}, but what it means in this Bundle is a {type_}"
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
