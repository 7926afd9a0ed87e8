"""Print how the terminology tests fare, by suite, and what does not hold.

python -m tests.conformance.terminology [--suite S] [--test T] [--way put|tx-resource] [-v]
"""

import argparse
import json
import time
import warnings

from tests.conformance.terminology.cases import suites
from tests.conformance.terminology.running import Result, run


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.terminology")
    parser.add_argument("--suite", default="", help="of one suite")
    parser.add_argument("--test", default="", help="one test")
    parser.add_argument("--way", choices=("put", "tx-resource"), default="put", help="how the set-up is given")
    parser.add_argument("-v", action="store_true", help="show request, answer and template")
    parser.add_argument("-q", action="store_true", help="do not list the misses")
    flags = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    right = total = 0
    for suite in suites():
        if flags.suite in ("", suite.name):
            found = run(suite, flags.way, flags.test)
            held = sum(not each.fault for each in found)
            right, total = right + held, total + len(found)
            print(f"{suite.name:<28} {held:>4} of {len(found)}")
            for each in found:
                show(each, verbose=flags.v, quiet=flags.q)
    print(f"{'all':<28} {right:>4} of {total}  {right / max(total, 1):.1%}  {time.monotonic() - started:.1f} s")


def show(result: Result, *, verbose: bool, quiet: bool) -> None:
    """Print a miss; with `verbose` all there is to know of a test."""
    if result.fault and not quiet:
        print(f"    {result.case.name}: {result.fault}")
    if verbose:
        answers = list(result.case.answers)
        for title, value in (("asked", result.asked), ("answered", result.answer), ("expected", answers)):
            print(f"--- {title}\n{json.dumps(value, indent=1, default=str)}")


if __name__ == "__main__":
    main()
