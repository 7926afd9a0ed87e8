"""Quantities and UCUM: exact conversion, comparability, units that are not units."""

from fractions import Fraction
from importlib.resources import files

import pytest

from fhir_server.fhirpath import evaluate
from fhir_server.fhirpath.ucum import unit


@pytest.mark.parametrize(
    ("code", "factor", "dimensions"),
    [
        ("kg", 1000, {"g": 1}),
        ("mmol/L", Fraction("6.02214076e23"), {"m": -3}),
        ("10*9/L", 10**12, {"m": -3}),
        ("kg/m2", 1000, {"g": 1, "m": -2}),
        ("mm[Hg]", 133322, {"g": 1, "m": -1, "s": -2}),
        ("/min", Fraction(1, 60), {"s": -1}),
        ("mL/min/{1.73_m2}", Fraction(1, 10**6) / 60, {"m": 3, "s": -1}),
        ("g/(24.h)", Fraction(1, 86400), {"g": 1, "s": -1}),
        ("{tablets}", 1, {}),
        ("%", Fraction(1, 100), {}),
        ("u[iU]/mL", 1, {"[iU]": 1, "m": -3}),
    ],
)
def test_unit_is_known_exactly_in_base_units(code: str, factor: Fraction, dimensions: dict[str, int]) -> None:
    found = unit(code)
    assert found is not None
    assert (found.factor, dict(found.dimensions)) == (factor, dimensions)


@pytest.mark.parametrize(
    "code", ["foo", "kg/", "(m", "m)", "m..s", "k", "", "[s]", "lbs", "m 2", "K" * 201, "m999999999"]
)
def test_what_is_not_ucum_is_no_unit(code: str) -> None:
    assert unit(code) is None


def test_every_example_of_the_ucum_committee_is_a_unit() -> None:
    rows = (files("ucumvert") / "vendor" / "ucum_examples.tsv").read_text().splitlines()[1:]
    codes = [row.split("\t")[1] for row in rows if len(row.split("\t")) > 1]
    assert len(codes) > 100
    assert [code for code in codes if unit(code) is None] == ["Torr"]  # not UCUM, whatever the list says


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("70 'kg' = 70000 'g'", [True]),
        ("37 'Cel' = 310.15 'K'", [True]),
        ("98.6 '[degF]' ~ 37 'Cel'", [True]),
        ("1 '[in_i]' = 2.54 'cm'", [True]),
        ("1 'cm' = 1 's'", [False]),
        ("1 'cm' ~ 1 's'", [False]),
        ("1 'cm' < 1 's'", []),
        ("1 year = 12 months", [True]),
        ("1 year = 1 'a'", []),
        ("1 year ~ 1 'a'", [True]),
        ("1 year = 365 days", [True]),
        ("60 seconds = 1 'min'", [True]),
        ("2 '{tablets}' = 2 '{tablets}'", [True]),
        ("4 'g' ~ 4040 'mg'", [True]),
        ("4 'g' = 4040 'mg'", [False]),
        ("(5 'g' / 2 'L') = 2.5 'g/L'", [True]),
        ("(6 'm' / 3 'cm') = 200 '1'", [True]),
        ("(2 'g/L' * 3 'L') = 6 'g'", [True]),
        ("1 'g' / 0 'g'", []),
        ("1 'g' + 1 's'", []),
        ("1 'cm'.comparable(1 '[in_i]')", [True]),
        ("1 'cm'.comparable(1 '[s]')", [False]),
        ("5 = 5 '1'", [True]),
        ("(500 'mg').toQuantity('g').value", [0.5]),
    ],
)
def test_quantities_are_compared_and_combined_by_what_they_measure(expression: str, result: list[object]) -> None:
    assert evaluate({}, expression) == result


def test_fhir_quantity_counts_by_its_ucum_code_and_not_by_its_printed_unit() -> None:
    weight = {"value": 70, "unit": "kilos", "system": "http://unitsofmeasure.org", "code": "kg"}
    observation = {"resourceType": "Observation", "valueQuantity": weight}
    assert evaluate(observation, "value > 69999 'g' and value = 70 'kg'") == [True]


def test_fhir_quantity_with_a_comparator_is_equal_to_no_number() -> None:
    observation = {"resourceType": "Observation", "valueQuantity": {"value": 5, "code": "g", "comparator": "<"}}
    assert evaluate(observation, "value = 5 'g'") == [False]
