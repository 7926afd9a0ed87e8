"""UCUM quantities in base units."""

from math import inf

import pytest

from fhir_server.search.units import canonical_quantity
from fhir_server.search.values import number_range


def canonical(value: float, code: str) -> tuple[float, str]:
    found = canonical_quantity(value, value, code)
    assert found is not None
    assert found[0] == found[1]
    return found[0], found[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((70, "kg"), (70_000, "g")),
        ((5.4, "mg"), (0.0054, "g")),
        ((5.4, "g/L"), (540, "mg/dL")),
        ((37, "Cel"), (98.6, "[degF]")),
        ((37, "Cel"), (310.15, "K")),
        ((120, "/min"), (2, "/s")),
        ((120, "{beats}/min"), (2, "Hz")),
        ((1, "10*9/L"), (1, "10*3/uL")),
        ((1, "10*3/uL"), (1, "10^3/uL")),
        ((1, "N/m2"), (1, "Pa")),
        ((50, "%"), (0.5, "1")),
        ((1, "h"), (3600, "s")),
        ((1, "wk"), (7, "d")),
        ((5, "[iU]/L"), (5, "m[iU]/mL")),
        ((5, "[iU]/L"), (5, "[IU]/L")),
        ((12, "[in_i]"), (1, "[ft_i]")),
    ],
)
def test_one_quantity_in_two_units_is_one_number(one: tuple[float, str], other: tuple[float, str]) -> None:
    assert canonical(*one) == canonical(*other)


@pytest.mark.parametrize(
    ("one", "other"), [("kg", "m"), ("[iU]", "1"), ("[iU]/L", "[CFU]/L"), ("mol/L", "g/L"), ("[iU]", "%")]
)
def test_units_that_do_not_convert_stay_apart(one: str, other: str) -> None:
    assert canonical(1, one)[1] != canonical(1, other)[1]


@pytest.mark.parametrize("code", ["", " ", "bogus", "/", "kg\n", "kg m", "m" * 300, "ｋg"])
def test_what_is_no_unit_is_none(code: str) -> None:
    assert canonical_quantity(1, 1, code) is None


def test_arbitrary_and_logarithmic_units_are_their_own_base() -> None:
    assert canonical(7.4, "[pH]") == (7.4, "[pH]")
    assert canonical(10, "dB") == canonical(1, "B")
    assert canonical(10, "dB")[1] != canonical(10, "Np")[1]


def test_annotations_mean_nothing() -> None:
    assert canonical(5, "{score}") == canonical(5, "1")
    assert canonical(5, "kg{dry}") == canonical(5, "kg")


@pytest.mark.parametrize(
    "code",
    [
        "10*99999999999",
        "10*9999",
        "kg999999999",
        "10*64.10*64.10*64.10*64.10*64.10*64",
        "10*-64.10*-64.10*-64.10*-64.10*-64.10*-64",
    ],
)
def test_absurd_powers_are_none_and_soon(code: str) -> None:
    assert canonical_quantity(1, 1, code) is None


def test_open_ends_stay_open() -> None:
    assert canonical_quantity(-inf, 5, "kg") == (-inf, 5000, "g")


def test_a_search_with_more_digits_than_a_float_holds_finds_that_number() -> None:
    value, low, high = number_range("72.342341234123414")
    exact, around = canonical_quantity(value, value, "kg"), canonical_quantity(low, high, "kg")
    assert exact is not None
    assert around is not None
    assert around[0] <= exact[0] < around[1]
