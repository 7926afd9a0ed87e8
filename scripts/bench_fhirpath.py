"""Measure FHIRPath: the search expressions of R4 on average resources, beside fhirpathpy on the same ones.

python scripts/bench_fhirpath.py [FOLDER]    FOLDER has Synthea bundles (.json.bz2)
"""

import bz2
import contextlib
import sys
import timeit
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fhir_server import definitions
from fhir_server.fhirpath import Expression, compile_expression

Resource = dict[str, Any]
_TYPES = ("Patient", "Observation", "Condition", "Encounter", "Claim", "ExplanationOfBenefit", "CarePlan", "Procedure")


def average_resources(folder: Path) -> dict[str, Resource]:
    """The resource of median size of each type, from the first ten bundles of a folder."""
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    by_type: dict[str, list[Resource]] = {}
    for path in sorted(folder.glob("*.bz2"))[:10]:
        for entry in decoder.decode(bz2.decompress(path.read_bytes()))["entry"]:
            by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    encode = msgspec.json.Encoder(decimal_format="number").encode
    return {name: sorted(found, key=lambda r: len(encode(r)))[len(found) // 2] for name, found in by_type.items()}


def search_expressions(type_name: str) -> list[str]:
    """The expressions of all search parameters of a type, inherited ones included."""
    bases = {type_name, "DomainResource", "Resource"}
    return [str(p.expression) for p in definitions.load().search_parameters if p.expression and bases & {*p.base}]


def ours(expressions: list[str], resource: Resource) -> tuple[Callable[[], object], Callable[[], object]]:
    """Evaluate to plain values, and to typed results with their places."""
    compiled: list[Expression] = [compile_expression(expression) for expression in expressions]
    return (lambda: [e.values(resource) for e in compiled]), (lambda: [e.evaluate(resource) for e in compiled])


def theirs(expressions: list[str], resource: Resource) -> tuple[Callable[[], object], list[str]]:
    """fhirpathpy, compiled beforehand as well, with the expressions that it can evaluate (it has no resolve())."""
    from fhirpathpy import compile as compile_theirs
    from fhirpathpy.models import models

    plain = msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(resource))
    compiled = {}
    for expression in expressions:
        evaluate = compile_theirs(expression, models["r4"])
        # It raises a bare Exception for what it does not know.
        with contextlib.suppress(Exception):
            evaluate(plain)
            compiled[expression] = evaluate
    return (lambda: [evaluate(plain) for evaluate in compiled.values()]), list(compiled)


def microseconds(work: Callable[[], object], repeat: int = 5) -> float:
    """The best time of one call."""
    work()
    number = max(1, int(0.05 / (timeit.timeit(work, number=1) + 1e-9)))
    return min(timeit.repeat(work, number=number, repeat=repeat)) / number * 1e6


def main(folder: Path) -> None:
    """Print a table: times of all expressions, and of those that fhirpathpy can evaluate in both."""
    warnings.simplefilter("ignore")
    print("| type | bytes | expressions | values | typed | in both | values | fhirpathpy | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    resources = average_resources(folder)
    for name in _TYPES:
        print(row(name, resources[name]))


def row(name: str, resource: Resource) -> str:
    """One line of the table."""
    expressions = search_expressions(name)
    values, typed = (microseconds(work) for work in ours(expressions, resource))
    work, common = theirs(expressions, resource)
    other, same = microseconds(work, repeat=2), microseconds(ours(common, resource)[0])
    size = len(msgspec.json.Encoder(decimal_format="number").encode(resource))
    return (
        f"| {name} | {size} | {len(expressions)} | {values:.0f} us | {typed:.0f} us "
        f"| {len(common)} | {same:.0f} us | {other:.0f} us | {other / same:.0f} x |"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
