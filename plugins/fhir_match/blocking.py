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
    others = ",".join(mistaken(day))
    if others and givens:
        yield "given name and near birth date", (("birthdate", others), ("given", _starts(givens, 3)))
    if others and families:
        yield "family name and near birth date", (("birthdate", others), ("family", _starts(families, 4)))


def mistaken(day: str) -> list[str]:
    """Return the dates that are easily written for one: day and month changed places, digits that did, one digit, year
    or month next to it."""
    year, month, of_month = day.split("-")
    swapped_year = [year[:at] + year[at + 1] + year[at] + year[at + 2 :] for at in (2,)]
    tens = [f"{int(year) + years:04d}" for years in (-10, -2, -1, 1, 2, 10)]
    found = [f"{year}-{of_month}-{month}", f"{year}-{month}-{of_month[::-1]}", f"{year}-{month[::-1]}-{of_month}"]
    found += [f"{other}-{month}-{of_month}" for other in (*swapped_year, *tens)]
    found += [f"{year}-{other:02d}-{of_month}" for other in _near(int(month), (-1, 1, 10, -10))]
    found += [f"{year}-{month}-{other:02d}" for other in _near(int(of_month), (-2, -1, 1, 2, -10, 10, -20, 20))]
    return [each for each in dict.fromkeys(found) if each != day and _is_date(each)]


def _near(value: int, steps: Iterable[int]) -> list[int]:
    return [value + step for step in steps if value + step > 0]


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
