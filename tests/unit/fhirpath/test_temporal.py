"""Dates and times: precision, zones, three-valued comparison, arithmetic, bounds."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhirpath import evaluate
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import (
    Temporal,
    compare,
    from_milliseconds,
    interval,
    parse_date,
    parse_datetime,
    parse_time,
)
from fhir_server.fhirpath.temporal_arithmetic import add_duration


def moment(text: str) -> Temporal:
    found = parse_datetime(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        "2015",
        "2015-02",
        "2015-02-04",
        "2015-02-04T14",
        "2015-02-04T14:34",
        "2015-02-04T14:34:28.120+10:00",
        "2015-02-04T14:34:28Z",
    ],
)
def test_datetime_is_printed_as_it_was_read(text: str) -> None:
    assert str(parse_datetime(text)) == text


@pytest.mark.parametrize(
    "text", ["2015-13", "2015-02-29", "0000-01-01", "2015-02-04T24:00:01", "2015T14", "x", "2015-02-04T14:00+15:00"]
)
def test_datetime_that_does_not_exist_is_none(text: str) -> None:
    assert parse_datetime(text) is None


def test_digits_of_other_scripts_are_no_digits() -> None:
    assert parse_date("२०१५") is None


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2015", "2016", -1),
        ("2015", "2015", 0),
        ("2015", "2015-06", None),
        ("2015-06", "2014-12-31", 1),
        ("2015-01-01T10:00", "2015-01-01T10:00:30", None),
        ("2015-01-01T10:00:00", "2015-01-01T10:00:00.0", 0),
        ("2015-01-01T10:00:00.001", "2015-01-01T10:00:00", 1),
        ("2015-01-01T10:00:00+02:00", "2015-01-01T08:00:00Z", 0),
        ("2015-01-01T10:00:00Z", "2015-01-01T08:00:00", None),
        ("2015-01-01T10:00:00Z", "2015-01-03T08:00:00", -1),
        ("2015-01-01", "2015-01-03T08:00:00Z", -1),
    ],
)
def test_comparison_is_unknown_where_precision_or_zone_leave_it_open(left: str, right: str, order: int | None) -> None:
    assert compare(moment(left), moment(right)) == order
    assert compare(moment(right), moment(left)) == (None if order is None else -order)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@2014 + 24 months", "2016"),
        ("@2014 + 23 months", "2015"),
        ("@2014 - 23 months", "2013"),
        ("@2014-03 + 31 days", "2014-04"),
        ("@2014-01-31 + 1 month", "2014-02-28"),
        ("@2016-02-29 + 1 year", "2017-02-28"),
        ("@2014-01-01 - 1 day", "2013-12-31"),
        ("@2014-01-01 - 1 'month'", "2013-12-01"),
        ("@2014-01-01 + 36 hours", "2014-01-02"),
        ("@2014-01-01T10:30+02:00 + 45 minutes", "2014-01-01T11:15+02:00"),
        ("@2014-01-01T10:30:00.5Z + 1.25 seconds", "2014-01-01T10:30:01.750Z"),
        ("@2014-01-01T10:30:00.000Z + 1.25 's'", "2014-01-01T10:30:01.000Z"),
        ("@2014-01-01T10:30:00Z + 1 'wk'", "2014-01-08T10:30:00Z"),
        ("@T23:30 + 45 minutes", "00:15"),
        ("@T00:00:00 - 1 second", "23:59:59"),
    ],
)
def test_durations_are_added_at_the_precision_of_the_date(expression: str, result: str) -> None:
    assert evaluate({}, expression) == [result]


@pytest.mark.parametrize(
    "expression", ["@9999-12-31 + 1 day", "@0001-01-01 - 1 year", "@2014-01-01 + 99999999999999999 days"]
)
def test_leaving_the_calendar_gives_nothing(expression: str) -> None:
    assert evaluate({}, expression) == []


@pytest.mark.parametrize(
    "expression", ["@2014-01-01 + 1 'mo'", "@2014-01-01 + 1 'cm'", "@T10:00 + 1 day", "1 day + @2014-01-01"]
)
def test_what_is_no_calendar_duration_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cannot add|does not take"):
        evaluate({}, expression)


instants = st.builds(
    lambda value: moment(value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"),
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001,
)


@given(instants, st.integers(-10_000, 10_000))
def test_adding_and_taking_away_the_same_days_changes_nothing(value: Temporal, days: int) -> None:
    there = add_duration(value, Quantity(Decimal(days), "day", calendar=True), 1)
    assert there is not None
    assert add_duration(there, Quantity(Decimal(days), "day", calendar=True), -1) == value


@given(instants)
def test_milliseconds_and_back_is_the_same_moment(value: Temporal) -> None:
    assert from_milliseconds(value, interval(value)[0]) == value


@given(instants, instants)
def test_order_of_moments_is_the_order_of_their_milliseconds(left: Temporal, right: Temporal) -> None:
    a, b = interval(left)[0], interval(right)[0]
    assert compare(left, right) == (a > b) - (a < b)


def test_time_takes_an_optional_t() -> None:
    assert parse_time("T14:30") == parse_time("14:30") == Temporal("Time", (14, 30))


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@2014.lowBoundary()", "2014-01-01"),
        ("@2016-02.highBoundary()", "2016-02-29"),
        ("@2014-01-01T08:05.lowBoundary()", "2014-01-01T08:05:00.000+14:00"),
        ("@2014-01-01T08:05Z.highBoundary()", "2014-01-01T08:05:59.999Z"),
        ("@T10.highBoundary()", "10:59:59.999"),
        ("@T10:30.lowBoundary(6)", "10:30:00"),
    ],
)
def test_boundaries_fill_up_what_is_not_known(expression: str, result: str) -> None:
    assert evaluate({}, expression) == [result]
