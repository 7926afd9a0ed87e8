"""How many resources of the IG packages are valid."""

from tests.conformance.ig_packages import NAMES
from tests.conformance.packages.run import Validated, definitions, examples
from tests.conformance.score import Score

FLOORS = {"us-core-6.1.0": 0.98, "us-core-7.0.0": 1.0, "ips-1.1.0": 0.9, "davinci-pas-2.2.1": 0.97}


def scores() -> list[Score]:
    """Validate every example, then every definition."""
    return [
        *(_score(f"Examples of {name}", examples(name), FLOORS[name]) for name in NAMES),
        *(_score(f"Definitions of {name}", definitions(name), FLOORS[name]) for name in NAMES),
    ]


def _score(name: str, found: tuple[Validated, ...], floor: float) -> Score:
    misses = tuple(f"{each.name}: {each.errors[0].diagnostics}" for each in found if each.errors)
    return Score(name, len(found) - len(misses), len(found), floor, misses)
