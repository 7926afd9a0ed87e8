"""The official FHIRPath tests for R4, from HL7's fhir-test-cases, and what is wrong with our answer to one."""

import json
from decimal import Decimal
from functools import cache
from typing import Any

from fhir_server.fhirpath import FhirPathError, Node, Options, compile_expression, evaluate
from tests.conformance.fhirpath.xml_input import read_xml
from tests.shared_data import shared_data

Case = dict[str, Any]

# Cases that the suite or the specification itself disputes, each with the reason. None so far.
DISPUTED: dict[str, str] = {}


@cache
def cases() -> list[Case]:
    """Every case; skips the caller where the data are absent."""
    found: list[Case] = json.loads((shared_data("fhirpath") / "tests.json").read_text())
    return found


def name_of(case: Case) -> str:
    return f"{case['group']}-{case['name']}"


def fault(case: Case) -> str:
    """What is wrong with the answer; empty when it is right."""
    return _fault_of_invalid(case) if case["invalid"] else _fault_of_result(case)


@cache
def _resource(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    path = shared_data("fhirpath") / "input" / name
    return read_xml(path) if path.suffix == ".xml" else json.loads(path.read_text(), parse_float=Decimal)


def _fault_of_invalid(case: Case) -> str:
    try:
        found = evaluate(_resource(case["inputfile"]), case["expression"])
    except FhirPathError as error:
        return "" if error.position is not None else f"refused without a position: {error}"
    return f"not refused, but {found}"


def _fault_of_result(case: Case) -> str:
    options = Options(strict=True)
    try:
        found = compile_expression(case["expression"]).evaluate(_resource(case["inputfile"]), options=options)
    except FhirPathError as error:
        return f"refused: {error}"
    expected = case["outputs"]
    if case["predicate"] == "true":
        return "" if bool(found) is (expected[0]["value"] == "true") else f"the predicate is {bool(found)}"
    if case["ordered"] == "false":
        found = sorted(found, key=_text_of)
        expected = sorted(expected, key=lambda output: str(output["value"]))
    right = len(found) == len(expected) and all(map(_same, expected, found))
    return "" if right else f"{found}, expected {expected}"


def _same(expected: dict[str, Any], node: Node) -> bool:
    return _same_text(expected, node) and _same_type(expected, node)


def _text_of(node: Node) -> str:
    """A result as the suite writes it."""
    value, name = node.value, (node.type or "").removeprefix("System.")
    if isinstance(value, bool):
        return str(value).lower()
    if name == "Quantity" and node.type != "Quantity":
        unit = f"'{value['code']}'" if "code" in value else value["unit"]
        return f"{value['value']} {unit}"
    return str(value)


def _normalised(text: str) -> str:
    """Dates and times lose the sign of their literals."""
    return text.removeprefix("@T").removeprefix("@")


def _same_text(expected: dict[str, Any], node: Node) -> bool:
    wanted = _normalised(expected["value"])
    if expected["type"] == "decimal":
        return Decimal(wanted) == node.value
    return wanted == _text_of(node)


def _same_type(expected: dict[str, Any], node: Node) -> bool:
    wanted, found = expected["type"], (node.type or "").removeprefix("System.")
    return wanted is None or found.lower() == wanted.lower() or (wanted, found) == ("code", "string")
