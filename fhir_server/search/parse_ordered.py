"""Values that have an order (dates, numbers, quantities) with their prefixes, and positions.

Spec: https://hl7.org/fhir/R4/search.html#prefix
"""

import re
from dataclasses import replace

from fhir_server.search import query as q
from fhir_server.search.asked import Asked, ValueReader, split, unescape
from fhir_server.search.values import UCUM, canonical_quantity, date_bounds, number_range

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_DEFAULT_DISTANCE = "50"
_UNITS = {"": "km", "mi": "[mi_i]", "ft": "[ft_i]"}
_METER = "m"


def _prefixed(text: str) -> tuple[q.Prefix, str]:
    found = _PREFIX.fullmatch(text)
    prefix, rest = found.groups() if found else (None, text)
    return q.Prefix(prefix or "eq"), rest


def date_value(text: str, reader: ValueReader) -> q.DateValue:
    """Read a date with its prefix; `ap` widens it by a tenth of its distance from now.

    A blank is taken for the `+` of a time zone that a client forgot to encode.

    Raises:
        ValueError: it is no date.
    """
    prefix, rest = _prefixed(unescape(text))
    low, high = date_bounds(rest.strip().replace(" ", "+"), reader.zone)
    if prefix is q.Prefix.AP:
        now = reader.now * 1000
        gap = max(low - now, now - high, 0) // 10
        low, high = low - gap, high + gap
    return q.DateValue(prefix, low, high)


def number_value(text: str) -> q.NumberValue:
    """Read a number with its prefix; `ap` widens it by a tenth of its value.

    Raises:
        ValueError: it is no number.
    """
    prefix, rest = _prefixed(unescape(text))
    value, low, high = number_range(rest.strip())
    if prefix is q.Prefix.AP:
        low, high = min(low, value - abs(value) / 10), max(high, value + abs(value) / 10)
    return q.NumberValue(prefix, value, low, high)


def read_date(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Any of several dates."""
    return q.Date(asked.param, tuple(date_value(value, reader) for value in values))


def read_number(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Any of several numbers."""
    return q.Number(asked.param, tuple(number_value(value) for value in values))


def read_quantity(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Any of several quantities."""
    return q.Quantity(asked.param, tuple(_quantity_value(value) for value in values))


def _quantity_value(text: str) -> q.QuantityValue:
    parts = split(text, "|")
    if len(parts) not in (1, 3):
        raise ValueError("a quantity is [prefix]number or [prefix]number|system|code")
    number = number_value(parts[0])
    system, code = (unescape(part) for part in (parts[1:] or ("", "")))
    return q.QuantityValue(number, system, code, _canonical(number, code) if system == UCUM else None)


def _canonical(number: q.NumberValue, code: str) -> tuple[q.NumberValue, str] | None:
    bounds = canonical_quantity(number.low, number.high, code)
    exact = canonical_quantity(number.value, number.value, code)
    if bounds is None or exact is None:
        return None
    return replace(number, value=exact[0], low=bounds[0], high=bounds[1]), exact[2]


def read_last_updated(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`_lastUpdated`: a date that every version has."""
    return q.LastUpdated(tuple(date_value(value, reader) for value in values))


def read_near(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Any of several circles."""
    nodes = tuple(_near_value(asked, value) for value in values)
    return nodes[0] if len(nodes) == 1 else q.Or(nodes)


def _near_value(asked: Asked, text: str) -> q.Near:
    """Read `latitude|longitude[|distance[|units]]`; 50 km where no distance is given.

    Spec: https://hl7.org/fhir/R4/location.html#search
    """
    parts = [unescape(part) for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise ValueError("it takes latitude|longitude|distance|units")
    latitude, longitude = number_range(parts[0])[0], number_range(parts[1])[0]
    distance = number_range((parts[2:] or [""])[0] or _DEFAULT_DISTANCE)[0]
    unit = (parts[3:] or [""])[0]
    meters = canonical_quantity(distance, distance, _UNITS.get(unit, unit))
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("there is no such place")
    if meters is None or meters[2] != _METER or distance < 0:
        raise ValueError(f"{distance:g} {unit} is not a distance")
    return q.Near(asked.param, latitude, longitude, meters[0])
