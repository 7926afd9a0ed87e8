"""ConceptMap: codes that are in the systems and value sets that it maps between.

Spec: https://hl7.org/fhir/R4/conceptmap.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import choice, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_MOST_CODES = 2000


@dataclass(frozen=True, slots=True)
class Side:
    """Where codes of one side come from."""

    system: str
    version: str
    value_set: str


def check(concept_map: Json, place: Place, run: Run) -> None:
    """Check the codes of every group; of a large map the first ones."""
    scopes = {name: _scope(concept_map, name, place, run) for name in ("source", "target")}
    left = _MOST_CODES
    for index, group in objects(concept_map, "group"):
        at = Place(place, "group", index)
        sides = {name: Side(text(group, name), text(group, f"{name}Version"), scope) for name, scope in scopes.items()}
        for name, side in sides.items():
            if not side.system:
                run.warn(at, "required", f"the group should say its {name} system")
        for name, code, where in _codes(group, at):
            left -= 1
            if left < 0:
                run.inform(place, "business-rule", f"only the first {_MOST_CODES} codes were checked")
                return
            _check_code(sides[name], code, where, run)


def _scope(concept_map: Json, name: str, place: Place, run: Run) -> str:
    """Return the value set of one side, if it is known."""
    value = choice(concept_map, name)
    url = value.json if value is not None and isinstance(value.json, str) else ""
    if not url or run.knowledge.library.find("ValueSet", url):
        return url
    if run.knowledge.library.find("CodeSystem", url):
        run.error(Place(place, name), "invalid", f"{shorten(url)} is a code system, not a value set")
    return ""


def _codes(group: Json, place: Place) -> Iterator[tuple[str, str, Place]]:
    for index, element in objects(group, "element"):
        at = Place(place, "element", index)
        if text(element, "code"):
            yield "source", text(element, "code"), Place(at, "code")
        for number, target in objects(element, "target"):
            if text(target, "code"):
                yield "target", text(target, "code"), Place(Place(at, "target", number), "code")


def _check_code(side: Side, code: str, place: Place, run: Run) -> None:
    if not side.system:
        return
    terms, version = run.knowledge.terms, side.version or None
    known = found = terms.check(None, side.system, code, version=version)
    if known.result is not False and side.value_set:
        found = terms.check(side.value_set, side.system, code, version=version)
    if found.result is False:
        # Of a system that is not loaded, the list of a value set is no proof.
        note = run.warn if known.result is None else run.error
        note(place, "required", found.message or f"{shorten(code)} is not a code of {shorten(side.system)}")
