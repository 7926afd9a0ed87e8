"""The score of the official terminology tests."""

from tests.conformance.score import Score
from tests.conformance.terminology.cases import suites
from tests.conformance.terminology.running import Result, run

FLOOR = 0.97


def results() -> list[Result]:
    """Run every test on a server that the set-up was written to."""
    return [result for suite in suites() for result in run(suite)]


def score() -> Score:
    """Run every test."""
    found = results()
    misses = tuple(f"{each.case.full_name}: {each.fault}" for each in found if each.fault)
    return Score("Terminology", len(found) - len(misses), len(found), FLOOR, misses)


def scores() -> list[Score]:
    """Return the one score."""
    return [score()]
