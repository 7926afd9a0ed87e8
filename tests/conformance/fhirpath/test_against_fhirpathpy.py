"""The same results as fhirpathpy, an engine written by others, on search expressions and invariants of R4."""

import json
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from fhir_server import definitions
from fhir_server.fhirpath import compile_expression
from tests.shared_data import shared_data

fhirpathpy = pytest.importorskip("fhirpathpy")

# What fhirpathpy does not have, or does not take: resolve(), hasValue(), %resource without being given it, and `as`
# on several items, which R4's own search parameters rely on.
REFUSALS = ("Not implemented", "undefined environment variable", "Expected singleton on left side of 'as'")


@cache
def theirs(expression: str) -> Callable[[Any], list[Any]]:
    from fhirpathpy.models import models

    return fhirpathpy.compile(expression, models["r4"])


def first_of_each_type() -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(next(shared_data("hl7-examples").glob("*.zip"))) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".json") and archive.getinfo(name).file_size < 30_000:
                resource = json.loads(archive.read(name))
                found.setdefault(resource["resourceType"], resource)
    return list(found.values())


def expressions_of(type_name: str) -> list[str]:
    facts = definitions.load()
    search = [str(p.expression) for p in facts.search_parameters if p.expression and type_name in p.base]
    return search + [i.expression for i in facts.invariants.values() if type_name in i.paths]


def same_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: same_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [same_numbers(part) for part in value]
    return float(value) if isinstance(value, Decimal) else value


def test_results_are_those_of_fhirpathpy() -> None:
    compared = Counter[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for resource in first_of_each_type():
            for expression in expressions_of(resource["resourceType"]):
                try:
                    expected = theirs(expression)(resource)
                except Exception as error:
                    assert any(reason in str(error) for reason in REFUSALS), (expression, error)
                    compared["refused"] += 1
                    continue
                found = compile_expression(expression).values(resource)
                assert same_numbers(found) == same_numbers(expected), (expression, resource["id"])
                compared["same"] += 1
    assert compared["same"] > 1000
    assert compared["refused"] < compared["same"] / 10
