"""The comparison laws, interval by interval."""

import pytest

from fhir_server.search.compare import date_law, distance, is_below, number_law, satisfies
from fhir_server.search.query import DateValue, NumberValue, Prefix

#   S = [10, 20)                                  eq     ne     gt     lt     ge     le     sa     eb     ap
DATES = {
    "the same": ((10, 20), "eq ge le ap"),
    "within": ((12, 18), "eq ge le ap"),
    "around": ((5, 25), "ne gt lt ge le ap"),
    "from before into": ((5, 15), "ne lt le ap"),
    "from within beyond": ((15, 25), "ne gt ge ap"),
    "right before": ((5, 10), "ne lt le eb"),
    "right after": ((20, 25), "ne gt ge sa"),
    "far before": ((1, 2), "ne lt le eb"),
    "far after": ((30, 40), "ne gt ge sa"),
    "from the start beyond": ((10, 25), "ne gt ge ap"),
    "from before to the end": ((5, 20), "ne lt le ap"),
}

NUMBERS = {
    "the same": ((100, 100), "eq ge le ap"),
    "within the precision, above": ((100.4, 100.4), "eq gt ge sa ap"),
    "within the precision, below": ((99.5, 99.5), "eq lt le eb ap"),
    "at the end of the precision": ((100.5, 100.5), "ne gt ge sa ap"),
    "above": ((200, 200), "ne gt ge sa"),
    "below": ((1, 1), "ne lt le eb"),
    "a range around": ((50, 150), "ne gt lt ge le ap"),
    "a range that ends here": ((50, 100), "ne lt ge le ap"),
    "a range that begins here": ((100, 150), "ne gt ge le ap"),
    "everything above": ((100.2, float("inf")), "ne gt ge sa ap"),
    "everything below": ((-float("inf"), 99), "ne lt le eb"),
}


@pytest.mark.parametrize("name", DATES)
def test_dates(name: str) -> None:
    (low, high), expected = DATES[name]
    found = [p for p in Prefix if satisfies(date_law(DateValue(p, 10, 20)), low, high)]
    assert set(found) == set(expected.split())


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str) -> None:
    (low, high), expected = NUMBERS[name]
    found = [p for p in Prefix if satisfies(number_law(NumberValue(p, 100, 99.5, 100.5)), low, high)]
    assert set(found) == set(expected.split())


@pytest.mark.parametrize(
    ("uri", "base", "expected"),
    [
        ("http://a/b", "http://a/b", True),
        ("http://a/b", "http://a", True),
        ("http://a/b", "http://a/", True),
        ("http://a/bc", "http://a/b", False),
        ("http://a", "http://a/b", False),
        ("urn:oid:1.2.3", "urn:oid:1.2", False),
    ],
)
def test_a_uri_lies_below_another_at_a_segment(uri: str, base: str, expected: bool) -> None:
    assert is_below(uri, base) is expected


def test_a_degree_of_latitude_is_111_km() -> None:
    assert distance(0, 0, 1, 0) == pytest.approx(111_195, rel=1e-4)
    assert distance(50.9413, 6.9583, 50.7374, 7.0982) == pytest.approx(24_700, rel=0.01)
    assert distance(0, 179.5, 0, -179.5) == pytest.approx(111_195, rel=1e-4)
    assert distance(1, 2, 1, 2) == 0
