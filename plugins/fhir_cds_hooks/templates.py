"""Prefetch templates: FHIR requests with tokens in double braces that the context of the hook fills.

Spec: https://cds-hooks.hl7.org/2.0/#prefetch-template
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

_TOKEN: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d{1,5})\s*(day|week|month|year)s?)?")
_USER: Final = re.compile(r"user(Practitioner|PractitionerRole|Patient|RelatedPerson)Id")
_REFERENCE: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}
_MOST: Final = 500


class Unfilled(Exception):
    """The context has nothing for a token."""


def filled(template: str, context: Mapping[str, Any], now: int) -> str:
    """Return the request that a template stands for; `now` is milliseconds since 1970.

    Raises:
        Unfilled: names the token that the context does not fill.
    """

    def value(token: re.Match[str]) -> str:
        found = _value(token[1], context, now)
        if not found:
            raise Unfilled(token[1])
        return found if _REFERENCE.fullmatch(found) else quote(found, safe=",:|")

    return _TOKEN.sub(value, template)


def _value(token: str, context: Mapping[str, Any], now: int) -> str:
    if today := _TODAY.fullmatch(token):
        return _day(today, now)
    if user := _USER.fullmatch(token):
        type_, _, id_ = str(context.get("userId", "")).partition("/")
        return id_ if type_ == user[1] else ""
    first, *steps = token.split(".")
    found: list[Any] = [context] if first == "context" and steps else []
    for step in steps:
        found = [child for value in found for child in _children(value, step)][:_MOST]
    return ",".join(str(value) for value in found if isinstance(value, str | int) and not isinstance(value, bool))


def _children(value: Any, step: str) -> list[Any]:
    """Return what a step leads to: a member, or the resources of a type within a Bundle."""
    if not isinstance(value, Mapping):
        return []
    if value.get("resourceType") == "Bundle" and step[:1].isupper():
        entries = value.get("entry") if isinstance(value.get("entry"), list) else []
        resources = [entry.get("resource") for entry in entries or [] if isinstance(entry, Mapping)]
        return [each for each in resources if isinstance(each, Mapping) and each.get("resourceType") == step]
    child = value.get(step)
    return list(child) if isinstance(child, list) else [] if child is None else [child]


def _day(today: re.Match[str], now: int) -> str:
    sign, count, unit = today.groups()
    day = datetime.fromtimestamp(now / 1000, UTC).date()
    if unit is None:
        return day.isoformat()
    shift = timedelta(days=int(count) * _DAYS[unit])
    return (day + shift if sign == "+" else day - shift).isoformat()
