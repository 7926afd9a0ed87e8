"""The differential of a profile against the snapshot of its base: order, slices, keys of rules, bindings, types.

Spec: https://hl7.org/fhir/R4/profiling.html#sd, https://hl7.org/fhir/R4/elementdefinition.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.snapshot import SnapshotError, structure
from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import child, objects, strings, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_ABSTRACT = frozenset(("Resource", "DomainResource", "Element", "BackboneElement", ""))
# R4's vital signs require units of components by mistake; HL7's own guides loosen that.
_LOOSENED = "Observation.component.value[x]"
_IMPLICIT = ("extension", "modifierExtension")


def check_differential(definition: Json, place: Place, run: Run) -> None:
    """Check what each element says against the base, where that is known."""
    base = _base(text(definition, "baseDefinition"), run)
    if not base:
        return
    elements = [(element, Place(place, "element", i)) for i, element in objects(definition["differential"], "element")]
    _check_order(elements, base, run)
    _check_slices(elements, base, run)
    _check_keys(elements, base, run)
    plain = {text(one, "path"): one for one in base if "sliceName" not in one}
    for element, at in elements:
        _check_binding(element, plain.get(text(element, "path"), {}), at, run)
        _check_types(element, at, run)


Elements = list[tuple[Json, Place]]


def _base(url: str, run: Run) -> list[Json]:
    try:
        found = structure(run.knowledge.library, url) if url else None
    except SnapshotError:
        return []
    return [one for _, one in objects(child(found, "snapshot"), "element")]


def _check_order(elements: Elements, base: list[Json], run: Run) -> None:
    """Elements stand in the order of the base, each below its owner."""
    order: dict[str, int] = {}
    for index, one in enumerate(base):
        order.setdefault(text(one, "path"), index)
    last: dict[str, int] = {}
    for element, at in elements:
        position, owner = order.get(text(element, "path")), text(element, "id").rpartition(".")[0]
        if position is None:
            continue
        if position < last.get(owner, -1):
            run.error(at, "invalid", f"{shorten(text(element, 'id'))} is out of order: the base has it earlier")
        last[owner] = max(position, last.get(owner, -1))


def _check_slices(elements: Elements, base: list[Json], run: Run) -> None:
    """What is a slice is a slice of something that is sliced."""
    sliced = {text(one, "path") for one in (*base, *(element for element, _ in elements)) if "slicing" in one}
    for element, at in elements:
        path = text(element, "path")
        name = path.rpartition(".")[2]
        is_slice = text(element, "sliceName") and text(element, "id").endswith(f"{name}:{text(element, 'sliceName')}")
        known = run.knowledge.definitions.element(path)
        if is_slice and path not in sliced and name not in _IMPLICIT and known is not None and not known.choice:
            run.error(at, "invalid", f"{shorten(path)} has slices, but it is not said what they differ by")


def _check_keys(elements: Elements, base: list[Json], run: Run) -> None:
    """The key of a rule means one rule.

    Spec: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint.key
    """
    known: dict[str, str] = {}
    for one in base:
        for _, constraint in objects(one, "constraint"):
            known.setdefault(text(constraint, "key"), text(constraint, "expression"))
    for element, at in elements:
        for index, constraint in objects(element, "constraint"):
            key, expression = text(constraint, "key"), text(constraint, "expression")
            if expression and known.setdefault(key, expression) not in ("", expression):
                fault = f"the key {shorten(key)} is that of another rule"
                run.error(Place(at, "constraint", index), "business-rule", fault)


def _check_binding(element: Json, base: Json, place: Place, run: Run) -> None:
    said, before = text(child(element, "binding"), "strength"), text(child(base, "binding"), "strength")
    if before == "required" and said and said != before and text(element, "path") != _LOOSENED:
        run.error(place, "business-rule", f"the binding is required in the base; it cannot be {shorten(said)}")


def _check_types(element: Json, place: Place, run: Run) -> None:
    """Profiles of a type are of that type, targets of a reference are what the element may refer to."""
    known = run.knowledge.definitions.element(text(element, "path"))
    allowed = {target for of in (known.types if known else ()) for target in of.targets}
    for index, one in objects(element, "type"):
        at = Place(place, "type", index)
        for number, url in strings(one, "profile"):
            found = _type_of(url, run)
            if found and not _fits(found, text(one, "code"), run):
                fault = f"{shorten(url)} is a profile on {found}, not on {shorten(text(one, 'code'))}"
                run.error(Place(at, "profile", number), "business-rule", fault)
        for number, url in strings(one, "targetProfile"):
            found = _type_of(url, run)
            if found and allowed and "Resource" not in allowed and found not in allowed | _ABSTRACT:
                fault = f"{shorten(url)} is a {found}; the base allows {', '.join(sorted(allowed))}"
                run.error(Place(at, "targetProfile", number), "business-rule", fault)


def _type_of(url: str, run: Run) -> str:
    entry = run.knowledge.library.find("StructureDefinition", url)
    return text(entry.parse(), "type") if entry else ""


def _fits(type_: str, code: str, run: Run) -> bool:
    """Whether a type is one, or a kind of one; what R4 does not have is passed over."""
    types = run.knowledge.definitions.types
    if code in _ABSTRACT or code not in types or type_ not in types:
        return True
    current: str | None = type_
    while current and current != code:
        current = types[current].base if current in types else None
    return current == code
