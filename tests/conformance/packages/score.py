"""How many resources of the IG packages are valid."""

from tests.conformance.ig_packages import NAMES
from tests.conformance.packages.run import Validated, definitions, examples
from tests.conformance.score import Score


def scores() -> list[Score]:
    """Validate every example, then every definition."""
    return [
        *(_score(f"Examples of {name}", examples(name), 0.89) for name in NAMES),
        *(_score(f"Definitions of {name}", definitions(name), 0.97) for name in NAMES),
    ]


def _score(name: str, found: tuple[Validated, ...], floor: float) -> Score:
    misses = tuple(f"{each.name}: {each.errors[0].diagnostics}" for each in found if each.errors)
    return Score(name, len(found) - len(misses), len(found), floor, misses)
