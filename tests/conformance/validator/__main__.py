"""Print the score of the validator cases by module, the misses, or one case with all that both sides say.

python -m tests.conformance.validator [--misses] [--module M] [CASE...]
"""

import argparse
import sys
import time
import warnings
from collections.abc import Iterable
from itertools import groupby

from tests.conformance.validator.cases import cases, plain
from tests.conformance.validator.score import Result, miss, run


def main() -> int:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CASE", help="print all findings of these")
    parser.add_argument("--module", help="only cases of this module")
    parser.add_argument("--misses", action="store_true", help="list what is not as expected")
    parser.add_argument("--warnings", action="store_true", help="with CASE: warnings too")
    flags = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    wanted = [case for case in cases() if not flags.module or case.module == flags.module]
    if flags.names:
        for case in wanted:
            if case.name in flags.names:
                show(run(case), all_of_them=flags.warnings)
        return 0
    table([run(case) for case in wanted], misses=flags.misses)
    print(f"{time.monotonic() - started:.1f} s")
    return 0


def table(results: Iterable[Result], *, misses: bool) -> None:
    """Print one line a module."""
    ordered = sorted(results, key=lambda result: result.case.module)
    groups = [(module, list(group)) for module, group in groupby(ordered, lambda result: result.case.module)]
    for module, found in [*groups, ("all", ordered)]:
        bad = [result for result in found if not result.expected.valid]
        exact = sum(result.verdict and result.expected.elements == result.actual.elements for result in found)
        print(
            f"{module:<16} verdicts {sum(r.verdict for r in found):>4} of {len(found):<4}"
            f" elements {sum(r.element for r in bad):>4} of {len(bad):<4} exactly the same {exact:>4}"
        )
        for result in found if misses and module != "all" else ():
            if not result.verdict or (result in bad and not result.element):
                print(f"    {'' if result.verdict else 'VERDICT '}{miss(result)}")


def show(result: Result, *, all_of_them: bool) -> None:
    """Print what both sides say."""
    print(f"{result.title}: {'as expected' if result.verdict else 'MISS'}; profile {result.case.profile or '-'}")
    for issue in result.case.expected():
        if all_of_them or issue["severity"] in ("error", "fatal"):
            where = ", ".join(map(plain, issue.get("expression", ())))
            print(f"  expected {issue['severity']:<11} {issue['code']:<14} {where}: {issue['details'].get('text')}")
    for found in result.issues:
        if all_of_them or found.severity in ("error", "fatal", "crash"):
            where = ", ".join(map(plain, found.expression))
            print(f"  found    {found.severity:<11} {found.code:<14} {where}: {found.diagnostics}")


if __name__ == "__main__":
    sys.exit(main())
