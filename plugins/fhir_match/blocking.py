"""Which patients are worth comparing: a handful of look-ups by index, never a pass over all.

Each look-up survives other errors than the rest: a patient is missed only where all of them fail.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from fhir_match.features import Features

Criteria = tuple[tuple[str, str], ...]
_MOST_VALUES = 20
_ESCAPED = re.compile(r"([\\,$|])")


def look_ups(patient: Mapping[str, Any], found: Features) -> Iterator[tuple[str, Criteria]]:
    """Yield the look-ups for a patient, each with a name for messages."""
    if identifiers := _identifiers(patient):
        yield "identifier", (("identifier", identifiers),)
    if telecom := _telecom(patient):
        yield "telecom", (("telecom", telecom),)
    families, givens = found.families, _unique(each[0] for each in found.givens)
    if len(found.birth_date) == 10:
        yield from _by_birth_date(found.birth_date, families, givens)
    if families and givens:
        yield "name", (("family", _starts(families, 4)), ("given", _starts(givens, 3)))
        yield "swapped names", (("family", _starts(givens, 4)), ("given", _starts(families, 3)))
    elif (families or givens) and found.birth_date:
        yield "name and year", (("name", _starts([*families, *givens], 4)), ("birthdate", found.birth_date[:4]))
    if (postal := _postal(patient)) and givens and found.birth_date:
        yield "postal code", (
            ("address-postalcode", postal), ("given", _starts(givens, 2)), ("birthdate", found.birth_date[:4]),
        )  # fmt: skip


def _by_birth_date(day: str, families: tuple[str, ...], givens: tuple[str, ...]) -> Iterator[tuple[str, Criteria]]:
    names = [*families, *givens]
    if not names:
        yield "birth date", (("birthdate", day),)
        return
    yield "birth date", (("birthdate", day), ("name", _starts(names, 2)))
    yield "month of birth", (("birthdate", day[:7]), ("name", _starts(names, 3)))
    # one condition for each date, since several dates in one are looked up as the whole time between them
    others = " or ".join(f"birthdate eq {other}" for other in mistaken(day))
    if others:
        yield "near birth date", (("_filter", others), ("name", _starts(names, 3)))


def mistaken(day: str) -> list[str]:
    """Return the dates in other months that are easily written for one: day and month changed places, digits of the
    year or the month did, one digit is another, a year or a month next to it."""
    year, month, of_month = day.split("-")
    swapped = year[:2] + year[3] + year[2]
    years = [swapped, *(f"{int(year) + step:04d}" for step in (-10, -1, 1, 10))]
    months = [month[::-1], *(f"{int(month) + step:02d}" for step in (-10, -1, 1, 10) if int(month) + step > 0)]
    found = [f"{year}-{of_month}-{month}", *(f"{other}-{month}-{of_month}" for other in years)]
    found += [f"{year}-{other}-{of_month}" for other in months]
    return [each for each in dict.fromkeys(found) if each != day and _is_date(each)]


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _identifiers(patient: Mapping[str, Any]) -> str:
    tokens = []
    for each in patient.get("identifier") or ():
        value = str(each.get("value") or "").strip()
        if value:
            system = str(each.get("system") or "")
            tokens.append(f"{_escaped(system)}|{_escaped(value)}" if system else _escaped(value))
    return ",".join(_unique(tokens)[:_MOST_VALUES])


def _telecom(patient: Mapping[str, Any]) -> str:
    values = []
    for each in patient.get("telecom") or ():
        value = str(each.get("value") or "").strip()
        digits = re.sub(r"\D", "", value)
        values += [value, value.lower()] if "@" in value or len(digits) < 6 else [value, digits, f"+{digits}"]
    return ",".join(_unique(_escaped(value) for value in values if value)[:_MOST_VALUES])


def _postal(patient: Mapping[str, Any]) -> str:
    found = _unique(str(each.get("postalCode") or "").strip() for each in patient.get("address") or ())
    return ",".join(_escaped(each) for each in found[:_MOST_VALUES])


def _starts(names: Iterable[str], length: int) -> str:
    return ",".join(_unique(name[:length] for name in names)[:_MOST_VALUES])


def _escaped(value: str) -> str:
    return _ESCAPED.sub(r"\\\1", value)


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(value for value in dict.fromkeys(values) if value)
