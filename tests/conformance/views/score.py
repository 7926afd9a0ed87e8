"""The score of the official SQL on FHIR tests."""

from tests.conformance.score import Score
from tests.conformance.views.cases import cases, fault


def scores() -> list[Score]:
    """Run every case."""
    faults = [(case.name, fault(case)) for case in cases()]
    misses = tuple(f"{name}: {text}" for name, text in faults if text)
    return [Score("SQL on FHIR views", len(faults) - len(misses), len(faults), 1.0, misses)]
