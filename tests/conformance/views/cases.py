"""The official tests of SQL on FHIR v2, and what is wrong with our answer to one."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_views.engine import ViewError, compile_view

from tests.shared_data import shared_data


@dataclass(frozen=True, slots=True)
class Case:
    """One test: `suite` is its file, `resources` what the view is run on."""

    suite: str
    test: dict[str, Any]
    resources: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        """The name under which it is reported."""
        return f"{self.suite}: {self.test['title']}"


def cases() -> list[Case]:
    """Every case; skips the caller where the data are absent."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    for path in sorted(shared_data("sql-on-fhir").glob("*.json")):
        suite = json.loads(path.read_text(), parse_float=Decimal)
        for test in suite["tests"]:
            yield Case(path.stem, test, tuple(suite["resources"]))


def fault(case: Case) -> str:
    """What is wrong with the answer; empty when it is right."""
    try:
        view = compile_view(case.test["view"])
        found = [row for resource in case.resources for row in view.objects(resource)]
    except ViewError as error:
        return "" if case.test.get("expectError") else f"refused: {error}"
    if case.test.get("expectError"):
        return f"not refused, but {found}"
    if "expectColumns" in case.test and list(view.names) != case.test["expectColumns"]:
        return f"columns {view.names}, expected {case.test['expectColumns']}"
    # The order of rows is free.
    same = Counter(map(_text, found)) == Counter(map(_text, case.test["expect"]))
    return "" if same else f"{found}, expected {case.test['expect']}"


def _text(row: dict[str, Any]) -> str:
    """A row in one spelling: 5 and 5.0 are the same number, and false is none."""
    return json.dumps(row, sort_keys=True, default=lambda number: int(number) if number % 1 == 0 else float(number))
