"""Finds a Questionnaire, and what its items are: by link id, with their types and extensions."""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.validation.resources.values import objects, text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]

_OTHER_TYPES = ("ValueSet", "CodeSystem", "StructureDefinition", "ConceptMap", "Measure", "Library")


def find(canonical: str, owner: Json, run: Run) -> Json | None:
    """Return the questionnaire of a canonical: contained in `owner` (`#id`), loaded, or resolved."""
    if canonical.startswith("#"):
        found = contained(canonical[1:], owner) or contained(canonical[1:], run.root)
    else:
        entry = run.knowledge.library.find("Questionnaire", canonical)
        found = entry.parse() if entry else run.resolve(canonical)
    return found if found is not None and found.get("resourceType") == "Questionnaire" else None


def other_type(canonical: str, run: Run) -> str:
    """Return the type of what has this canonical and is no Questionnaire; empty where nothing has it."""
    found = run.resolve(canonical)
    if found is not None:
        return text(found, "resourceType")
    return next((type_ for type_ in _OTHER_TYPES if run.knowledge.library.find(type_, canonical)), "")


def contained(id_: str, owner: Json) -> Json | None:
    """Return a contained resource."""
    return next((one for _, one in objects(owner, "contained") if one.get("id") == id_), None)


def all_items(owner: Json) -> Iterator[Json]:
    """Yield every item below, an item before its own."""
    for _, item in objects(owner, "item"):
        yield item
        yield from all_items(item)
