"""Dates as half-open intervals. Spec: https://hl7.org/fhir/R4/search.html#date"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fhir_server.search.dates import EARLIEST, LATEST, date_bounds


def micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2013", "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z"),
        ("2013-12", "2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z"),
        ("2012-02", "2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z"),
        ("2013-01-14", "2013-01-14T00:00:00Z", "2013-01-15T00:00:00Z"),
        ("2013-01-14T10:00", "2013-01-14T10:00:00Z", "2013-01-14T10:01:00Z"),
        ("2013-01-14T10:00:00", "2013-01-14T10:00:00Z", "2013-01-14T10:00:01Z"),
        ("2013-01-14T10:00:00Z", "2013-01-14T10:00:00Z", "2013-01-14T10:00:01Z"),
        ("2013-01-14T10:00:00-05:00", "2013-01-14T15:00:00Z", "2013-01-14T15:00:01Z"),
        ("2013-01-14T00:30:00+05:30", "2013-01-13T19:00:00Z", "2013-01-13T19:00:01Z"),
        ("2013-01-14T10:00:00.5Z", "2013-01-14T10:00:00.500000+00:00", "2013-01-14T10:00:00.600000+00:00"),
        ("2013-01-14T10:00:00.123Z", "2013-01-14T10:00:00.123000+00:00", "2013-01-14T10:00:00.124000+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z"),
    ],
)
def test_a_date_covers_what_its_precision_leaves_open(text: str, low: str, high: str) -> None:
    assert date_bounds(text) == (micros(low), micros(high))


def test_fractions_finer_than_a_microsecond_are_cut_off() -> None:
    low, high = date_bounds("2013-01-14T10:00:00.123456789Z")
    assert low == micros("2013-01-14T10:00:00.123456+00:00")
    assert high == low + 1


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2013-07-01", "2013-06-30T22:00:00Z", "2013-07-01T22:00:00Z"),
        ("2013-03-31", "2013-03-30T23:00:00Z", "2013-03-31T22:00:00Z"),  # 23 hours long
        ("2013-10-27", "2013-10-26T22:00:00Z", "2013-10-27T23:00:00Z"),  # 25 hours long
        ("2013-07-01T12:00:00", "2013-07-01T10:00:00Z", "2013-07-01T10:00:01Z"),
        ("2013-07-01T12:00:00Z", "2013-07-01T12:00:00Z", "2013-07-01T12:00:01Z"),
    ],
)
def test_the_default_zone_holds_where_the_date_names_none(text: str, low: str, high: str) -> None:
    assert date_bounds(text, ZoneInfo("Europe/Berlin")) == (micros(low), micros(high))


def test_a_time_is_local_to_the_minute_when_summer_time_begins() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert date_bounds("2013-03-31T01:59:00", berlin)[0] == micros("2013-03-31T00:59:00Z")
    assert date_bounds("2013-03-31T03:00:00", berlin)[0] == micros("2013-03-31T01:00:00Z")


def test_the_zone_of_half_an_hour_counts_at_half_past() -> None:
    # Lord Howe Island moves its clocks by half an hour, at two in the morning.
    zone = ZoneInfo("Australia/Lord_Howe")
    expected = datetime(2013, 10, 6, 1, 45, tzinfo=zone).astimezone(UTC).isoformat()
    assert date_bounds("2013-10-06T01:45:00", zone)[0] == micros(expected)


def test_first_and_last_years_have_bounds() -> None:
    assert date_bounds("0001")[0] == EARLIEST
    assert date_bounds("9999")[1] == LATEST
    assert date_bounds("9999-12")[1] == LATEST
    assert date_bounds("9999-12-31")[1] == LATEST
    low, high = date_bounds("9999-12-31T23:59:59-12:00", ZoneInfo("Europe/Berlin"))
    assert high - low == 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "", "13", "20130114", "2013-13", "2013-00", "2013-02-29", "2013-1-1", "2013-01-14T", "2013-01-14T10",
        "2013-01-14T24:00:00", "2013-01-14T10:60", "2013-01-14T10:00:61", "2013-01-14T10:00:00+25:00",
        "2013-01-14 10:00:00", "2013-01-14T10:00:00z", "0000", "2013-01-14\n", "２０１３", "2013-01-14T10:00:00.Z",
        "2013-01-14T10:00:00+01", "2013-W01", "now", "2013Z",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        date_bounds(text)
