"""The range that the precision of a number implies. Spec: https://hl7.org/fhir/R4/search.html#number"""

import pytest

from fhir_server.search.values import number_range


@pytest.mark.parametrize(
    ("text", "value", "low", "high"),
    [
        ("100", 100, 99.5, 100.5),
        ("100.00", 100, 99.995, 100.005),
        ("1e2", 100, 95, 105),
        ("1.0e2", 100, 95, 105),
        ("5.4e-3", 0.0054, 0.00535, 0.00545),
        ("5.40e-3", 0.0054, 0.005395, 0.005405),
        ("0", 0, -0.5, 0.5),
        ("-3", -3, -3.5, -2.5),
        ("+3", 3, 2.5, 3.5),
        ("0.50", 0.5, 0.495, 0.505),
        ("007", 7, 6.5, 7.5),
    ],
)
def test_half_a_unit_of_the_last_digit_to_both_sides(text: str, value: float, low: float, high: float) -> None:
    assert number_range(text) == (value, low, high)


@pytest.mark.parametrize(
    "text",
    ["", "a", "1,5", ".5", "5.", "1e", "0x10", "1_000", "NaN", "Infinity", "1e9999", "1e999", "１", "1 ", "9" * 101],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        number_range(text)
