"""How much of the published snapshots of IG packages comes out of their differentials."""

from tests.conformance.ig_packages import NAMES
from tests.conformance.score import Score
from tests.conformance.snapshot.comparing import compared

FLOORS = {"us-core-6.1.0": 0.99, "us-core-7.0.0": 0.99, "ips-1.1.0": 0.99, "davinci-pas-2.2.1": 0.96}


def scores() -> list[Score]:
    """Compare every element of every profile."""
    return [_score(name) for name in NAMES]


def _score(name: str) -> Score:
    results = compared(name)
    misses = tuple(text for result in results for text in result.differences)
    total = sum(result.elements for result in results) + sum(text.endswith("is only made") for text in misses)
    return Score(f"Snapshots of {name}", total - len(misses), total, FLOORS[name], misses)
