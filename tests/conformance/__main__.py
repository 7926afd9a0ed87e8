"""Print the score of every official suite; fail where one is below its floor.

    scripts/check conformance [--misses] [SUITE...]

Spec: docs/conformance.md tells the reason of each miss.
"""

import argparse
import importlib
import sys
import time
import warnings

import pytest

from tests.conformance.score import Score

SUITES = ("fhirpath", "views", "snapshot", "packages", "validator", "terminology")


def main() -> int:
    """Run the suites one after the other."""
    parser = argparse.ArgumentParser(prog="scripts/check conformance", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without any")
    parser.add_argument("--misses", action="store_true", help="name what does not hold")
    flags = parser.parse_args()
    warnings.simplefilter("ignore")
    unknown = [name for name in flags.suites if name not in SUITES]
    if unknown:
        parser.error(f"there is no suite {unknown[0]!r}")
    return max([run(name, misses=flags.misses) for name in flags.suites or SUITES])


def run(name: str, *, misses: bool) -> int:
    """Run one suite; its data may be absent, which is said and counts as failed."""
    started = time.monotonic()
    try:
        scores = importlib.import_module(f"tests.conformance.{name}.score").scores()
    except pytest.skip.Exception as reason:
        print(f"{name:<32} not run: {reason}")
        return 1
    for score in scores:
        show(score, time.monotonic() - started, misses=misses)
    return 0 if all(score.enough for score in scores) else 1


def show(score: Score, seconds: float, *, misses: bool) -> None:
    """One line for each score, and one for each miss when they are asked for."""
    verdict = "" if score.enough else f"  BELOW {score.floor:.0%}"
    print(f"{score.name:<32} {score.right:>5} of {score.total:<5} {score.share:>7.1%}  {seconds:5.1f} s{verdict}")
    for miss in score.misses if misses else ():
        print(f"    {miss}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
