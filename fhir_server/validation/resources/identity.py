"""What may stand in a resource but once: the id of an element, a security label.

Spec: https://hl7.org/fhir/R4/element-definitions.html#Element.id, https://hl7.org/fhir/R4/resource.html#Meta
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.paths import Keys, look
from fhir_server.validation.resources.values import child, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_APART = frozenset(("contained", "resource", "snapshot"))


def check(resource: dict[str, Any], place: Place, run: Run) -> None:
    """Check a resource without those within it, which have ids of their own."""
    if _repeats(resource):
        _tell(resource, place, run)
    if "meta" in resource:
        _check_labels(resource, place, run)


def _repeats(resource: dict[str, Any]) -> bool:
    """Whether an id stands twice: nearly always not, and then nobody asks where."""
    found: list[str] = []
    _collect(resource, found)
    if isinstance(resource.get("id"), str):
        found.remove(resource["id"])  # that of the resource is one of its own
    return len(set(found)) < len(found)


def _collect(value: dict[str, Any], found: list[str]) -> None:
    """Collect the ids of an object and of all within."""
    for name, item in value.items():
        of = type(item)
        if of is str:
            if name == "id":
                found.append(item)
        elif of is dict:
            if name not in _APART:
                _collect(item, found)
        elif of is list and name not in _APART:
            for one in item:
                if type(one) is dict:
                    _collect(one, found)


def _tell(resource: Json, place: Place, run: Run) -> None:
    seen: set[str] = set()
    for keys, id_ in _ids(resource, ()):
        if id_ in seen:
            at = look(resource, keys, place, run.knowledge.definitions).place
            run.error(at, "business-rule", f"the id {shorten(id_)} is that of another element of this resource")
        seen.add(id_)


def _ids(value: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Yield the ids of elements; in a StructureDefinition those of its two lists of elements are apart."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "id" and keys and isinstance(item, str):
                yield keys, item
            elif isinstance(item, dict | list) and name not in _APART:
                yield from _ids(item, (*keys, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _ids(item, (*keys, index))


def _check_labels(resource: Json, place: Place, run: Run) -> None:
    seen: set[tuple[str, str]] = set()
    for index, label in objects(child(resource, "meta"), "security"):
        key = text(label, "system"), text(label, "code")
        if key in seen and all(key):
            at = Place(Place(place, "meta"), "security", index)
            run.error(at, "business-rule", f"the security label {shorten('#'.join(key))} is there twice")
        seen.add(key)
