"""The official tests of the HL7 terminology ecosystem: which suites and tests there are, and their files.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/testcases.html
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from tests.shared_data import shared_data

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what is asked, and which answers are right.

    Attributes:
        status: what the HTTP status has to be, `x` for any digit.
        answers: the templates of right answers; one has to fit.
        profile: parameters that stand in the request besides its own.
    """

    suite: str
    name: str
    operation: str
    request: Json | None
    answers: tuple[Json, ...]
    status: str
    headers: tuple[tuple[str, str], ...]
    profile: Json | None

    @property
    def full_name(self) -> str:
        """Suite and test."""
        return f"{self.suite}/{self.name}"


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests that share their set-up: pairs of file name and resource."""

    name: str
    setup: tuple[tuple[str, Json], ...]
    cases: tuple[Case, ...]


@cache
def _files() -> dict[str, bytes]:
    with zipfile.ZipFile(next(shared_data("terminology").glob("*.zip"))) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".json")}


def _read(name: str) -> Json:
    found = _files()
    text = found.get(name) or next(data for path, data in found.items() if path.endswith("/" + name))
    resource: Json = json.loads(text, parse_float=Decimal)
    return resource


@cache
def suites() -> tuple[Suite, ...]:
    """Every suite that has tests; skips the caller where the data are absent."""
    found = (_suite(each) for each in _read("test-cases.json")["suites"])
    return tuple(suite for suite in found if suite.cases)


def _suite(described: Json) -> Suite:
    cases = tuple(_case(described, test) for test in described["tests"])
    return Suite(described["name"], tuple((name, _read(name)) for name in described["setup"]), cases)


def _case(suite: Json, test: Json) -> Case:
    return Case(
        suite["name"],
        test["name"],
        test["operation"],
        _read(test["request"]) if "request" in test else None,
        tuple(_read(test[key]) for key in ("response", "response2") if key in test),
        test.get("http-code", "200"),
        tuple(_headers(test)),
        _read(test["profile"]) if "profile" in test else None,
    )


def _headers(test: Json) -> Iterator[tuple[str, str]]:
    if "Accept-Language" in test:
        yield "accept-language", test["Accept-Language"]
    for header in test.get("header", ()):
        yield header["name"].lower(), header["value"]
