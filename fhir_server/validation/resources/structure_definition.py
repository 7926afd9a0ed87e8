"""StructureDefinition: type and paths, slicing, values, and that a snapshot follows from the differential.

Spec: https://hl7.org/fhir/R4/structuredefinition.html, https://hl7.org/fhir/R4/elementdefinition.html
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.snapshot import SnapshotError, snapshot
from fhir_server.validation.place import Place
from fhir_server.validation.resources import element_definition, extension_context, obligations
from fhir_server.validation.resources.differential import check_differential
from fhir_server.validation.resources.values import child, choice, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_EXTENSION = f"{_BASE}Extension"
_BINDABLE = frozenset(
    (
        "code",
        "Coding",
        "CodeableConcept",
        "Quantity",
        "string",
        "uri",
        "CodeableReference",
        "Duration",
        "Age",
        "Count",
        "Distance",
        "Money",
        "SimpleQuantity",
        "Extension",
    )
)
_discriminator = re.compile(
    r"(?:\$this|[a-zA-Z]\w*(?:\[x\])?|resolve\(\)|extension\('[^']*'\)|ofType\([\w.]+\))"
    r"(?:\.(?:[a-zA-Z]\w*(?:\[x\])?|resolve\(\)|extension\('[^']*'\)|ofType\([\w.]+\)))*"
)


def check(definition: Json, place: Place, run: Run) -> None:
    """Check a definition as a whole and each of its elements."""
    _check_type(definition, place, run)
    extension_context.check(definition, place, run)
    if "extension" in definition:
        obligations.check(definition, place, run)
    tail = text(definition, "type").rpartition("/")[2]
    for part in ("differential", "snapshot"):
        for index, element in objects(child(definition, part), "element"):
            at = Place(Place(place, part), "element", index)
            _check_element(element, tail, at, run)
            if part == "snapshot":
                element_definition.check_complete(element, text(definition, "derivation"), at, run)
    if "differential" in definition:
        _check_differential(definition, place, run)


def _check_type(definition: Json, place: Place, run: Run) -> None:
    """Check `type`. Spec: https://hl7.org/fhir/R4/structuredefinition-definitions.html#StructureDefinition.type"""
    type_, url = text(definition, "type"), text(definition, "url")
    at = Place(place, "type")
    is_core = text(definition, "url") == f"{_BASE}{type_}"
    if type_ and ":" not in type_ and type_ not in run.knowledge.definitions.types and not is_core:
        run.error(at, "invalid", f"{shorten(type_)} is not a type of FHIR; another type must be a URL")
    base = _base(definition, run)
    if base is not None:
        _check_derivation(definition, base, place, run)
    if definition.get("derivation") != "specialization":
        return
    if base is not None and type_ and base.get("type") == type_:
        run.error(place, "not-found", f"a specialization must have a type of its own, not {shorten(type_)} of its base")
    elif ":" in type_ and url and type_.rpartition("/")[0] != url.rpartition("/")[0]:
        run.warn(at, "invalid", f"the namespace of the type {shorten(type_)} should be that of the url {shorten(url)}")


def _check_derivation(definition: Json, base: Json, place: Place, run: Run) -> None:
    kind, type_ = text(definition, "kind"), text(definition, "type")
    if "derivation" not in definition:
        run.error(place, "not-found", "a definition with a base must say its derivation")
    elif definition["derivation"] == "constraint" and type_ != base.get("type"):
        run.error(
            place, "not-found", f"a constraint has the type of its base, {base.get('type')}, not {shorten(type_)}"
        )
    if kind and base.get("abstract") is not True and kind != base.get("kind"):
        run.error(place, "not-found", f"the kind is {kind}, but that of the base is {base.get('kind')}")
    if definition.get("baseDefinition") == _EXTENSION:
        _check_extension_url(definition, place, run)


def _check_extension_url(definition: Json, place: Place, run: Run) -> None:
    """Spec: https://hl7.org/fhir/R4/defining-extensions.html"""
    url = text(definition, "url")
    elements = objects(child(definition, "differential"), "element")
    if not url or not elements:
        return
    fixed = next((text(one, "fixedUri") for _, one in elements if one.get("path") == "Extension.url"), "")
    if fixed != url:
        run.error(place, "invalid", f"Extension.url must be fixed to the url, {shorten(url)}, not {shorten(fixed)}")


def _base(definition: Json, run: Run) -> Json | None:
    url = text(definition, "baseDefinition")
    entry = run.knowledge.library.find("StructureDefinition", url) if url else None
    return entry.parse() if entry else None


def _check_element(element: Json, type_: str, place: Place, run: Run) -> None:
    path = text(element, "path")
    if type_ and path and path.partition(".")[0] != type_:
        run.error(place, "not-found", f"the path {shorten(path)} must start with the type, {type_[:64]}")
    for index, discriminator in objects(child(element, "slicing"), "discriminator"):
        written = text(discriminator, "path")
        if written and not _discriminator.fullmatch(written):
            at = Place(Place(place, "slicing"), "discriminator", index)
            run.error(at, "invalid", f"{shorten(written)} is not a path that a discriminator may have")
    element_definition.check(element, place, run)


def _check_differential(definition: Json, place: Place, run: Run) -> None:
    at = Place(place, "differential")
    elements = objects(child(definition, "differential"), "element")
    if elements and "slicing" in elements[0][1] and "." not in text(elements[0][1], "path"):
        run.error(Place(at, "element", 0), "invalid", "the root of a profile cannot be sliced")
    if _base(definition, run) is None:
        run.warn(place, "not-found", f"the base {shorten(text(definition, 'baseDefinition'))} is not known here")
        return
    try:
        made = snapshot(definition, run.knowledge.library)
    except SnapshotError as error:
        for issue in error.issues:
            run.error(place, "exception", f"no snapshot can be made: {issue.diagnostics}")
        return
    if definition.get("derivation") == "constraint":
        check_differential(definition, at, run)
    by_id = {text(element, "id"): element for element in made}
    for index, element in elements:
        full = by_id.get(text(element, "id"))
        if full is not None:
            _check_against(element, full, Place(at, "element", index), run)
            _check_discriminators(element, Place(at, "element", index), run)


def _check_discriminators(element: Json, place: Place, run: Run) -> None:
    """A discriminator starts with an element of what is sliced, where that is of R4."""
    path, element_at = text(element, "path"), run.knowledge.definitions.element
    if element_at(path) is None:
        return
    for index, discriminator in objects(child(element, "slicing"), "discriminator"):
        step = text(discriminator, "path").partition(".")[0]
        if step.isidentifier() and element_at(f"{path}.{step}") is None:
            at = Place(Place(place, "slicing"), "discriminator", index)
            run.error(at, "invalid", f"{shorten(path)} has no element {shorten(step)} to discriminate by")


def _check_against(element: Json, full: Json, place: Place, run: Run) -> None:
    """Check what a differential says against the types that the element has."""
    types = element_definition.types_of(full)
    if not types or any(one.startswith("System.") for one in types):
        return
    if "binding" in element and not types & _BINDABLE and all(one in run.knowledge.definitions.types for one in types):
        run.error(place, "business-rule", f"a binding has no meaning for the type {', '.join(sorted(types))}")
    for value in _values(element):
        if value not in {one[:1].lower() + one[1:] for one in types} | types and "." in text(element, "path"):
            run.error(
                place, "value", f"a value of type {value} is given, but the element is of {', '.join(sorted(types))}"
            )


def _values(element: Json) -> Iterator[str]:
    """Yield the types of fixed[x] and pattern[x]."""
    for name in ("fixed", "pattern"):
        value = choice(element, name)
        if value is not None:
            yield value.type
