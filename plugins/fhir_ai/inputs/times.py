"""Times of FHIR as milliseconds, and ages from dates of birth."""

from calendar import monthrange
from datetime import UTC, date, datetime
from typing import Any

_HOUR = 3_600_000


def millis(text: Any) -> int | None:
    """Return a date, dateTime or instant as milliseconds since 1970 UTC; a partial one counts from its beginning."""
    if not isinstance(text, str):
        return None
    padded = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    try:
        found = datetime.fromisoformat(padded)
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def hours_before(now: int, at: int) -> float:
    """Return how many hours lie between a time and now."""
    return (now - at) / _HOUR


def age_at(birth: Any, now: int) -> float | None:
    """Return an age in years, with fractions; of a partial date the youngest that it allows."""
    born = _latest(birth)
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    if born is None or born > today:
        return None
    had = (today.month, today.day) >= (born.month, born.day)
    years = today.year - born.year - (not had)
    since = date(born.year + years, born.month, min(born.day, monthrange(born.year + years, born.month)[1]))
    return years + min((today - since).days, 364) / 365


def _latest(birth: Any) -> date | None:
    try:
        parts = [int(part) for part in str(birth)[:10].split("-")]
        year, month = parts[0], parts[1] if len(parts) > 1 else 12
        return date(year, month, parts[2] if len(parts) > 2 else monthrange(year, month)[1])
    except (ValueError, IndexError):
        return None
