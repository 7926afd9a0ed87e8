"""All functions of FHIRPath by name."""

from collections.abc import Mapping

from fhir_server.fhirpath.functions import (
    boundaries,
    collections,
    components,
    conversion,
    existence,
    fhir,
    filtering,
    keys,
    math,
    patterns,
    scores,
    strings,
    utility,
)
from fhir_server.fhirpath.functions.function import Function, Step

FUNCTIONS: Mapping[str, Function] = {
    **existence.FUNCTIONS,
    **filtering.FUNCTIONS,
    **collections.FUNCTIONS,
    **conversion.FUNCTIONS,
    **components.FUNCTIONS,
    **strings.FUNCTIONS,
    **patterns.FUNCTIONS,
    **math.FUNCTIONS,
    **boundaries.FUNCTIONS,
    **fhir.FUNCTIONS,
    **keys.FUNCTIONS,
    **scores.FUNCTIONS,
    **utility.FUNCTIONS,
}

__all__ = ["FUNCTIONS", "Function", "Step"]
