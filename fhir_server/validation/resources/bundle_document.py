"""Bundles of type document and message: the first entry, what it must bring along, and what nobody asked for.

Spec: https://hl7.org/fhir/R4/documents.html#bundle, https://hl7.org/fhir/R4/messaging.html#bundle
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.bundle_entries import Entries, Entry
from fhir_server.validation.resources.paths import Keys, look, texts
from fhir_server.validation.resources.values import child, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_MOST_MEANT = 20  # it should be one; that there are more is told elsewhere
_STYLE = "https://hl7.org/fhir/fhir.css"


def check_document(bundle: Json, entries: Entries, place: Place, run: Run) -> None:
    """Check that a Composition comes first, with all it refers to, and nothing else."""
    first = _first(entries, "Composition", place, run)
    if first is None:
        return
    _check_brought(entries, first, _of_composition(first.resource), place, run)
    styles = _check_styles(bundle, entries, first, place, run)
    forward, linked = _reachable(entries, first, styles)
    for entry in entries.all:
        at = Place(place, "entry", entry.index)
        if not entry.resource or entry.index in forward:
            continue
        if entry.index not in linked:
            run.error(at, "informational", f"{shorten(entry.url)} is not linked with the Composition")
        elif text(entry.resource, "resourceType") != "Provenance":
            run.warn(at, "invalid", f"{shorten(entry.url)} only refers to the document; that is for Provenance alone")


def check_message(bundle: Json, entries: Entries, place: Place, run: Run) -> None:
    """Check that a MessageHeader comes first, with what it is about."""
    first = _first(entries, "MessageHeader", place, run)
    if first is None:
        return
    focus = ((("focus", i), one) for i, one in objects(first.resource, "focus"))
    _check_brought(entries, first, focus, place, run)
    forward, linked = _reachable(entries, first, set())
    for entry in entries.all:
        at = Place(place, "entry", entry.index)
        if not entry.resource or entry.index in forward:
            continue
        if entry.index not in linked:
            run.warn(at, "informational", f"{shorten(entry.url)} is not linked with the MessageHeader; is it needed?")
        else:
            run.inform(at, "informational", f"{shorten(entry.url)} only refers to what the message is about")


def _first(entries: Entries, type_: str, place: Place, run: Run) -> Entry | None:
    """Return the first entry, if it is what it must be."""
    if not entries.all:
        run.error(place, "invalid", f"a Bundle of this type must have entries, the first of them a {type_}")
        return None
    first = entries.all[0]
    if text(first.resource, "resourceType") == type_:
        return first
    at = Place(Place(place, "entry", first.index), "resource")
    run.error(at, "invalid", f"the first entry must be a {type_}")
    return None


def _of_composition(composition: Json) -> Iterator[tuple[Keys, Json]]:
    """Yield the references of a Composition whose targets are part of the document.

    Spec: https://hl7.org/fhir/R4/documents.html#content
    """
    for name in ("subject", "encounter", "custodian"):
        yield (name,), child(composition, name)
    for index, author in objects(composition, "author"):
        yield ("author", index), author
    for index, attester in objects(composition, "attester"):
        yield ("attester", index, "party"), child(attester, "party")
    for index, event in objects(composition, "event"):
        yield from ((("event", index, "detail", at), one) for at, one in objects(event, "detail"))
    yield from _of_sections(composition, ())


def _of_sections(owner: Json, keys: Keys) -> Iterator[tuple[Keys, Json]]:
    for index, section in objects(owner, "section"):
        here = (*keys, "section", index)
        yield (*here, "focus"), child(section, "focus")
        for name in ("author", "entry"):
            yield from (((*here, name, at), one) for at, one in objects(section, name))
        yield from _of_sections(section, here)


def _check_brought(entries: Entries, first: Entry, links: Iterator[tuple[Keys, Json]], place: Place, run: Run) -> None:
    for keys, link in links:
        reference = text(link, "reference")
        if not reference or reference.startswith("#"):
            continue
        found = entries.meant(first.url, reference)
        if len(found) == 1:
            continue
        near = ", ".join(shorten(one.url) for one in entries.same_name(reference)[:3])
        hint = f"; its type and id are those of {near}, whose fullUrl is another" if near else ""
        text_ = f"means {len(found)} entries" if found else f"is not in the Bundle{hint}"
        resource = Place(Place(place, "entry", first.index), "resource")
        at = look(first.resource, keys, resource, run.knowledge.definitions).place
        run.error(at, "invalid", f"{shorten(reference)} {text_}")


def _check_styles(bundle: Json, entries: Entries, first: Entry, place: Place, run: Run) -> set[int]:
    """Check the links to stylesheets; return the entries that they mean.

    Spec: https://hl7.org/fhir/R4/documents.html#css
    """
    found: set[int] = set()
    for index, link in objects(bundle, "link"):
        url = text(link, "url")
        if link.get("relation") != "stylesheet" or url == _STYLE or not url:
            continue
        at = Place(Place(place, "link", index), "url")
        meant = entries.meant(first.url, url)
        found.update(one.index for one in meant)
        if not meant and url.startswith(("http:", "https:")):
            run.warn(at, "business-rule", f"a stylesheet should be in the Bundle, or be {_STYLE}")
        elif not meant:
            run.error(at, "not-found", f"the stylesheet {shorten(url)} is not in the Bundle")
    return found


def _reachable(entries: Entries, first: Entry, also: set[int]) -> tuple[set[int], set[int]]:
    """Return the entries to which links lead from the first, and those that are linked with it either way."""
    links = {entry.index: _links(entries, entry) for entry in entries.all}
    start = {first.index} | also
    forward = _closure(start, links)
    both: dict[int, set[int]] = {index: set(to) for index, to in links.items()}
    for index, to in links.items():
        for other in to:
            both[other].add(index)
    return forward, _closure(start, both)


def _links(entries: Entries, entry: Entry) -> set[int]:
    found: set[int] = set()
    for _, value in texts(entry.resource):
        if "/" in value or ":" in value:
            found.update(one.index for one in entries.meant(entry.url, value)[:_MOST_MEANT])
    return found


def _closure(start: set[int], links: Mapping[int, set[int]]) -> set[int]:
    seen, open_ = set(start), list(start)
    while open_:
        for other in links[open_.pop()] - seen:
            seen.add(other)
            open_.append(other)
    return seen
