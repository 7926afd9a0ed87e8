"""The score of the official FHIRPath tests."""

from tests.conformance.fhirpath.cases import cases, fault, name_of
from tests.conformance.score import Score


def scores() -> list[Score]:
    """Run every case."""
    faults = [(name_of(case), fault(case)) for case in cases()]
    misses = tuple(f"{name}: {text}" for name, text in faults if text)
    return [Score("FHIRPath", len(faults) - len(misses), len(faults), 1.0, misses)]
