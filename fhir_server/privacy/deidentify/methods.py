"""What each method makes of one value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from fhir_server.model.json import encode
from fhir_server.privacy.deidentify.key import Key
from fhir_server.privacy.deidentify.rules import Rule

SMALL_ZIPS: Final = frozenset((
    "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890",
    "893",
))  # fmt: skip
"""The three-digit areas with 20,000 people or fewer by the census of 2000, which become 000.

Source: https://www.hhs.gov/hipaa/for-professionals/special-topics/de-identification/index.html
"""

OLDEST: Final = 89
_DATE: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(T.*)?)?)?")
_REFERENCE: Final = re.compile(r"(?:https?://[^\s?#]{1,500}/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(/_history/.*)?")
_BASE: Final = "https://deidentified.invalid"
"""Stands for the server in full URLs, so that relative references in a Bundle resolve."""
_UUID: Final = re.compile(r"urn:(?:uuid|oid):(.+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: the FHIR type, whose it is, the resource and path, and the year that it is now."""

    type: str
    patient: str
    path: str
    year: int


def apply(rule: Rule, value: Any, place: Place, key: Key) -> Any:
    """Return the value as the rule leaves it; None: it goes."""
    options = rule.options
    if rule.method == "dateShift":
        return _shifted(value, key.shift(place.patient, options.get("days", 50))) if place.patient else None
    if rule.method == "cryptoHash":
        return _hashed(value, place, key)
    if rule.method == "generalize":
        return _generalized(options, value, place)
    if rule.method == "substitute":
        return options["with"]
    if rule.method == "perturb":
        return _perturbed(options, value, key.noise(f"{place.patient}|{place.path}|{value}"))
    if rule.method == "encrypt":
        return key.encrypted(value if isinstance(value, str) else encode(value).decode())
    return value if rule.method == "keep" else None


def reference(text: str, key: Key) -> str | None:
    """Return a reference to the pseudonym; None for one that is by a search, which would name an identifier."""
    if text.startswith("#"):
        return f"#{key.pseudonym(text[1:])}" if len(text) > 1 else text
    if match := _UUID.fullmatch(text):
        return f"urn:uuid:{key.pseudonym(match[1])}"
    if match := _REFERENCE.fullmatch(text):
        return f"{match[1]}/{key.pseudonym(match[2])}"
    return None


def _hashed(value: Any, place: Place, key: Key) -> Any:
    if not isinstance(value, str):
        return key.hashed(encode(value).decode())
    if place.path.endswith((".reference", ".fullUrl")):
        found = reference(value, key)
        return f"{_BASE}/{found}" if found and place.path.endswith("fullUrl") and ":" not in found else found
    return key.pseudonym(value) if place.type == "id" else key.hashed(value)


def _shifted(value: Any, days: int) -> Any:
    """Move a date; one without a day is not moved but cut to its year, for the month may be another."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    if not match[3]:
        return match[1]
    try:
        moved = date(int(match[1]), int(match[2]), int(match[3])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return moved.isoformat() + (match[4] or "")


def _generalized(options: Mapping[str, Any], value: Any, place: Place) -> Any:
    to = options["to"]
    if to in ("year", "month"):
        return _cut_date(value, place, to == "month")
    if to == "zip3":
        return _zip3(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if to == "most":
        return min(value, options["most"])
    step = options["step"]
    cut = Decimal(value) // Decimal(step) * Decimal(step)
    return int(cut) if isinstance(value, int) else cut


def _cut_date(value: Any, place: Place, month: bool) -> Any:
    """Return the year (and month); none from more than 89 years ago, which would tell a great age."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) < place.year - OLDEST:
        return None
    left = f"{match[1]}-{match[2]}" if month and match[2] else match[1]
    if place.type == "instant":  # which has no shorter form
        return f"{left if '-' in left else left + '-01'}-01T00:00:00Z"
    return left


def _zip3(value: Any) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(r"\d{5}(-?\d{4})?", value.strip()):
        return None
    area = value.strip()[:3]
    return "000" if area in SMALL_ZIPS else area


def _perturbed(options: Mapping[str, Any], value: Any, noise: float) -> Any:
    """Return the number with noise of up to `span` times itself, to as many digits as it had or `digits`."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    moved = Decimal(value) * (1 + Decimal(str(noise)) * Decimal(options["span"]))
    if isinstance(value, int):
        return int(moved.to_integral_value())
    digits = options.get("digits", max(0, -int(value.as_tuple().exponent)))
    return moved.quantize(Decimal(1).scaleb(-digits))


def year_of(milliseconds: int) -> int:
    """Return the year of a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).year
