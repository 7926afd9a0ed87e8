"""Measure: criteria in CQL that their library defines.

Spec: https://hl7.org/fhir/R4/measure.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

from fhir_server.validation.place import Place
from fhir_server.validation.resources.attachment import content
from fhir_server.validation.resources.values import child, objects, strings, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_CQL = ("text/cql", "text/cql.identifier")
_ELM = "{urn:hl7-org:elm:r1}"


def check(measure: Json, place: Place, run: Run) -> None:
    """Check the criteria of stratifiers, as far as the libraries are at hand."""
    if not objects(measure, "group"):
        run.warn(place, "required", "a measure should have groups")
    libraries = [library for library in _libraries(measure, place, run) if library is not None]
    for criteria, at in _criteria(measure, place):
        if text(criteria, "language") in _CQL:
            _check_cql(text(criteria, "expression"), libraries, at, run)


def _libraries(measure: Json, place: Place, run: Run) -> Iterator[Json | None]:
    for index, canonical in strings(measure, "library"):
        entry = run.knowledge.library.find("Library", canonical)
        found = entry.parse() if entry else run.resolve(canonical)
        if found is None or found.get("resourceType") != "Library":
            run.inform(
                Place(place, "library", index), "not-found", f"the library {shorten(canonical)} is not known here"
            )
            continue
        yield found


def _criteria(measure: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    for index, group in objects(measure, "group"):
        for number, stratifier in objects(group, "stratifier"):
            at = Place(Place(place, "group", index), "stratifier", number)
            parts = ((one, Place(at, "component", i)) for i, one in objects(stratifier, "component"))
            for owner, where in ((stratifier, at), *parts):
                if "criteria" in owner:
                    yield child(owner, "criteria"), Place(where, "criteria")


def _check_cql(expression: str, libraries: list[Json], place: Place, run: Run) -> None:
    name, _, definition = expression.rpartition(".")
    named = [library for library in libraries if not name or library.get("name") == name]
    if not libraries:
        run.error(place, "invalid", "CQL needs a library, and none of the measure's is known here")
    elif len(named) != 1:
        which = f"named {shorten(name)}" if name else "that could be meant"
        run.error(place, "invalid", f"there are {len(named)} libraries {which}")
    elif definition not in _definitions(named[0]):
        run.error(place, "invalid", f"the library does not define {shorten(definition)} (in ELM)")


def _definitions(library: Json) -> frozenset[str]:
    """Return the names that the compiled form of a library defines; none where it has no such form."""
    for _, attachment in objects(library, "content"):
        data = content(attachment) if attachment.get("contentType") == "application/elm+xml" else None
        if data is not None:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
            try:
                root = etree.fromstring(data, parser)
            except (etree.XMLSyntaxError, ValueError):
                continue
            return frozenset(str(one.get("name")) for one in root.iterfind(f"{_ELM}statements/{_ELM}def"))
    return frozenset()
