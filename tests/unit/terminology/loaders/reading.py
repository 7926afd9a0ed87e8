"""Loading a source and looking at what came of it."""

from pathlib import Path

from fhir_server.terminology.code_system import Filter
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.source import Source
from fhir_server.terminology.systems.store import Store


def held(source: Source, folder: Path) -> Held:
    """Load a source into a folder."""
    return Held(Store(build(source, folder)))


def selected(system: Held, property_: str, op: str, value: str) -> list[str]:
    """Return what one filter selects."""
    return list(system.select([Filter(property_, op, value)]))


def properties(system: Held, code: str) -> dict[str, list[object]]:
    """Return the properties of a concept."""
    concept = system.concept(code)
    assert concept is not None
    found: dict[str, list[object]] = {}
    for each in concept.properties:
        found.setdefault(each.code, []).append(each.value)
    return found


def designations(system: Held, code: str) -> list[tuple[str, str, str]]:
    """Return `(language, code of the use, value)` of each designation."""
    concept = system.concept(code)
    assert concept is not None
    return [(each.language, (each.use or {}).get("code", ""), each.value) for each in concept.designations]
