"""Lines of crontab and the times that they name."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fhir_server.feed import Cron, CronError, Scheduled


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def after(line: str, moment: str, zone: str = "UTC") -> str:
    found = Cron.parse(line).after(at(moment, zone), ZoneInfo(zone))
    return datetime.fromtimestamp(found / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("line", "moment", "expected"),
    [
        ("30 3 * * *", "2026-01-01 03:29", "2026-01-01 03:30"),
        ("30 3 * * *", "2026-01-01 03:30", "2026-01-02 03:30"),
        ("*/15 * * * *", "2026-01-01 10:44:59", "2026-01-01 10:45"),
        ("0 9-17/4 * * mon-fri", "2026-01-02 17:00", "2026-01-05 09:00"),
        ("0 0 29 2 *", "2026-03-01", "2028-02-29 00:00"),
        ("0 0 13 * fri", "2026-01-10", "2026-01-13 00:00"),
        ("0 0 13 * fri", "2026-01-13", "2026-01-16 00:00"),
        ("0 0 * * 7", "2026-01-01", "2026-01-04 00:00"),
        ("5,10 0 1 jan,jul *", "2026-01-01 00:05", "2026-01-01 00:10"),
        ("@monthly", "2026-12-15", "2027-01-01 00:00"),
    ],
)
def test_the_next_time_is_found(line: str, moment: str, expected: str) -> None:
    assert after(line, moment) == expected


def test_an_hour_that_the_clock_skips_is_made_up_for() -> None:
    assert after("30 2 * * *", "2026-03-28 12:00", "Europe/Berlin") == "2026-03-29 03:30"


def test_an_hour_that_comes_twice_counts_once() -> None:
    zone, line = ZoneInfo("Europe/Berlin"), Cron.parse("30 2 * * *")
    first = line.after(at("2026-10-24 12:00", "Europe/Berlin"), zone)
    second = line.after(first, zone)
    assert datetime.fromtimestamp(first / 1000, UTC).isoformat() == "2026-10-25T00:30:00+00:00"
    assert datetime.fromtimestamp(second / 1000, zone).strftime("%m-%d %H:%M") == "10-26 02:30"


@pytest.mark.parametrize(
    "line",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
     "a * * * *", "0 0 31 2 *", "0 0 30 feb *", "-1 * * * *", "1--2 * * * *", "² * * * *"],
)  # fmt: skip
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(CronError):
        Cron.parse(line)


async def _nothing(context: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "wrong", [{}, {"every": 1.0, "cron": "@daily"}, {"every": 0.5}, {"cron": "nonsense"}, {"every": -3.0}]
)
def test_scheduled_work_needs_one_sound_time(wrong: dict) -> None:
    with pytest.raises(ValueError):
        Scheduled("x", _nothing, **wrong)
