"""Snapshots made anew from the differentials of published profiles, compared with the published ones."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_server.snapshot import snapshot
from tests.conformance.ig_packages import library, package

Json = Mapping[str, Any]

NOTHING = "http://hl7.org/fhir/StructureDefinition/Base"
_VERSION = re.compile(r"\|[0-9][^|]*$")


@dataclass(frozen=True, slots=True)
class Compared:
    """One profile: how many elements were published, and for each that is not the same, what differs."""

    name: str
    elements: int
    differences: tuple[str, ...]


@cache
def compared(name: str) -> tuple[Compared, ...]:
    """Compare the profiles of a package, but those whose base is in a package that is not here."""
    return tuple(_all(name))


def based_elsewhere(name: str) -> list[str]:
    """Return the profiles that are left out."""
    return [str(definition["id"]) for definition in _definitions(name) if not _has_base(name, definition)]


def _definitions(name: str) -> Iterator[Json]:
    return (entry.parse() for entry in package(name).entries if entry.type == "StructureDefinition")


def _has_base(name: str, definition: Json) -> bool:
    base = definition["baseDefinition"]
    return base == NOTHING or library(name).find("StructureDefinition", base) is not None


def _all(name: str) -> Iterator[Compared]:
    for definition in _definitions(name):
        if _has_base(name, definition):
            yield Compared(definition["id"], len(definition["snapshot"]["element"]), tuple(_compare(name, definition)))


def _compare(name: str, definition: Json) -> Iterator[str]:
    published = {element["id"]: element for element in definition["snapshot"]["element"]}
    made = {element["id"]: element for element in snapshot(definition, library(name))}
    for id_ in published | made:
        if id_ not in made or id_ not in published:
            yield f"{definition['id']} {id_}: is only {'published' if id_ not in made else 'made'}"
        else:
            old, new = said_by(published[id_]), said_by(made[id_])
            texts = [f"{key} {old[key]!r} != {new[key]!r}" for key in old if old[key] != new[key]]
            if texts:
                yield f"{definition['id']} {id_}: {'; '.join(texts)}"


def said_by(element: Json) -> dict[str, Any]:
    """Return what of an element is compared. Publishers add versions to canonicals, and URLs to content references."""
    binding, slicing = element.get("binding", {}), element.get("slicing", {})
    return {
        "path": element["path"],
        "sliceName": element.get("sliceName"),
        "cardinality": (element.get("min"), element.get("max"), tuple(element["base"].values())),
        "type": [_type(each) for each in element.get("type", ())],
        "contentReference": element.get("contentReference", "").rpartition("#")[2],
        "value": {name: value for name, value in element.items() if name.startswith(("fixed", "pattern"))},
        "binding": (binding.get("strength"), _plain(binding.get("valueSet"))),
        "constraint": sorted(rule["key"] for rule in element.get("constraint", ())),
        "slicing": (slicing.get("discriminator"), slicing.get("rules"), bool(slicing.get("ordered"))),
        "mustSupport": element.get("mustSupport", False),
    }


def _type(type_: Json) -> tuple[object, ...]:
    return type_["code"], *(tuple(map(_plain, type_.get(name, ()))) for name in ("profile", "targetProfile"))


def _plain(canonical: str | None) -> str | None:
    return canonical and _VERSION.sub("", canonical)
