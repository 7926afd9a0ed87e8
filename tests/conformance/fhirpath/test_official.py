"""The official FHIRPath tests for R4, from HL7's fhir-test-cases."""

import json
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from fhir_server.fhirpath import FhirPathError, Node, Options, compile_expression, evaluate
from tests.conformance.fhirpath.xml_input import read_xml
from tests.shared_data import shared_data

FOLDER = shared_data("fhirpath")
CASES = json.loads((FOLDER / "tests.json").read_text())
# Cases that the suite or the specification itself disputes, each with the reason. None so far.
DISPUTED: dict[str, str] = {}


@cache
def resource(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    path = FOLDER / "input" / name
    return read_xml(path) if path.suffix == ".xml" else json.loads(path.read_text(), parse_float=Decimal)


def text_of(node: Node) -> str:
    """A result as the suite writes it."""
    value, name = node.value, (node.type or "").removeprefix("System.")
    if isinstance(value, bool):
        return str(value).lower()
    if name == "Quantity" and node.type != "Quantity":
        unit = f"'{value['code']}'" if "code" in value else value["unit"]
        return f"{value['value']} {unit}"
    return str(value)


def normalised(text: str) -> str:
    """Dates and times lose the sign of their literals."""
    return text.removeprefix("@T").removeprefix("@")


def same_text(expected: dict[str, Any], node: Node) -> bool:
    wanted = normalised(expected["value"])
    if expected["type"] == "decimal":
        return Decimal(wanted) == node.value
    return wanted == text_of(node)


def same_type(expected: dict[str, Any], node: Node) -> bool:
    wanted, found = expected["type"], (node.type or "").removeprefix("System.")
    return wanted is None or found.lower() == wanted.lower() or (wanted, found) == ("code", "string")


def name_of(case: dict[str, Any]) -> str:
    return f"{case['group']}-{case['name']}"


@pytest.mark.parametrize("case", [c for c in CASES if c["invalid"]], ids=name_of)
def test_invalid_expression_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(FhirPathError) as caught:
        evaluate(resource(case["inputfile"]), case["expression"])
    assert caught.value.position is not None


@pytest.mark.parametrize("case", [c for c in CASES if not c["invalid"]], ids=name_of)
def test_expression_gives_the_official_result(case: dict[str, Any]) -> None:
    if name_of(case) in DISPUTED:
        pytest.skip(f"test data are disputed: {DISPUTED[name_of(case)]}")
    found = compile_expression(case["expression"]).evaluate(resource(case["inputfile"]), options=Options(strict=True))
    if case["predicate"] == "true":
        assert bool(found) is (case["outputs"][0]["value"] == "true")
        return
    expected = case["outputs"]
    assert len(found) == len(expected), found
    if case["ordered"] == "false":
        found = sorted(found, key=text_of)
        expected = sorted(expected, key=lambda output: output["value"])
    for output, node in zip(expected, found, strict=True):
        assert same_text(output, node), (output, node)
        assert same_type(output, node), (output, node)
