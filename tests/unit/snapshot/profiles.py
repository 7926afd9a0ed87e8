"""Small profiles and the libraries that they are in."""

from typing import Any

from fhir_server.model.json import encode
from fhir_server.packages import Library, core_library, entry_of

Json = dict[str, Any]
R4 = "http://hl7.org/fhir/StructureDefinition/"
OWN = "http://example.org/StructureDefinition/"


def said(path: str, slice_: str = "", **more: Any) -> Json:
    """An element of a differential, without an id."""
    return {"path": path} | ({"sliceName": slice_} if slice_ else {}) | more


def by_id(id_: str, **more: Any) -> Json:
    """An element of a differential, with its id."""
    path = ".".join(step.partition(":")[0] for step in id_.split("."))
    slice_ = id_.rpartition(".")[2].partition(":")[2]
    return {"id": id_} | said(path, slice_, **more)


def profile(type_: str, *elements: Json, name: str = "it", base: str = "", **more: Any) -> Json:
    """A profile, of a type of R4 unless a base is given."""
    return {
        "resourceType": "StructureDefinition",
        "id": name,
        "url": OWN + name,
        "name": name,
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": type_,
        "baseDefinition": base or R4 + type_,
        "derivation": "constraint",
        "differential": {"element": list(elements)},
    } | more


def library(*definitions: Json) -> Library:
    """R4 with these definitions over it."""
    entries = (
        entry_of(f"StructureDefinition/{each['id']}", "StructureDefinition", encode(each)) for each in definitions
    )
    return Library(entries, core_library())


def by_ids(elements: list[Json]) -> dict[str, Json]:
    """The elements of a snapshot by id; no id stands twice."""
    found = {element["id"]: element for element in elements}
    assert len(found) == len(elements)
    return found
