"""ViewDefinition as a resource type: its StructureDefinition, its search parameters, its operations.

Facts of https://sql-on-fhir.org/ig (CC0).
"""

from functools import cache
from importlib.resources import files
from typing import Any

from fhir_server.plugin_api import OperationFacts, decode, facts_of


def structure() -> dict[str, Any]:
    """The StructureDefinition of ViewDefinition."""
    found: dict[str, Any] = _read("definitions", "ViewDefinition.json")
    return found


def search_parameters() -> list[dict[str, Any]]:
    """The SearchParameters of ViewDefinition."""
    found: list[dict[str, Any]] = _read("definitions", "search_parameters.json")
    return found


@cache
def operation(name: str) -> OperationFacts:
    """The facts of an operation on views."""
    return facts_of(_read("operations", f"{name}.json"))


def _read(folder: str, name: str) -> Any:
    return decode(files("fhir_views").joinpath(folder, name).read_bytes())
