"""Bundle of type searchset: the self link, and that what is found is what was searched for.

Spec: https://hl7.org/fhir/R4/bundle.html#searchset
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.bundle_entries import Entries, Entry
from fhir_server.validation.resources.values import child, objects, text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]

_types = re.compile(r"[?&]_type=([^&]*)")


def check_searchset(bundle: Json, entries: Entries, place: Place, run: Run) -> None:
    """Check the entries of a search answer."""
    link = next((text(one, "url") for _, one in objects(bundle, "link") if one.get("relation") == "self"), "")
    wanted = _wanted(link, run.knowledge.definitions.resource_types)
    given = ((i, text(child(one, "search"), "mode")) for i, one in objects(bundle, "entry"))
    modes = {i: mode for i, mode in given if mode}
    if not link:
        run.warn(place, "invalid", "a searchset should have a self link that says what the search was")
    if entries.all and not modes:
        run.warn(place, "invalid", "the entries of a searchset should have a search mode")
    for entry in entries.all:
        at = Place(place, "entry", entry.index)
        if not entry.resource:
            run.error(at, "invalid", "an entry of a searchset must have a resource")
        else:
            _check_entry(entry, modes, wanted, at, run)


def _wanted(link: str, types: tuple[str, ...]) -> tuple[str, ...]:
    """Return the types that a search is about; none where that is not told."""
    path = link.partition("?")[0].rstrip("/")
    last = path.rpartition("/")[2]
    if last == "_search":
        last = path.rsplit("/", 2)[-2]
    if last in types:
        return (last,)
    listed = _types.search(link)
    return tuple(listed[1].replace("%2C", ",").split(",")) if listed else ()


def _check_entry(entry: Entry, modes: Mapping[int, str], wanted: tuple[str, ...], place: Place, run: Run) -> None:
    type_, mode, at = text(entry.resource, "resourceType"), modes.get(entry.index, ""), Place(place, "resource")
    if mode == "outcome":
        if type_ != "OperationOutcome":
            run.error(at, "invalid", f"an entry of mode outcome is an OperationOutcome, not {type_}")
        return
    if type_ == "OperationOutcome" and not mode:
        return
    if "id" not in entry.resource:
        (run.error if mode else run.warn)(at, "invalid", "what a search finds must have an id")
    if not wanted or type_ in wanted or mode == "include":
        return
    text_ = f"the search was for {', '.join(wanted)}, but this is {type_}"
    if mode == "match":
        run.error(at, "invalid", text_)
    elif not modes:
        run.warn(place, "invalid", f"{text_}; is a search mode missing?")
