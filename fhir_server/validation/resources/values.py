"""The value of a choice in JSON (`valueCoding`), its type, its place, and how two of them compare."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, NamedTuple

from fhir_server.fhirpath.ucum import unit
from fhir_server.validation.place import Place

UCUM = "http://unitsofmeasure.org"

Json = Mapping[str, Any]


class Value(NamedTuple):
    """One value of a choice: its FHIR type and its JSON."""

    type: str
    json: Any


def objects(value: object, name: str) -> list[tuple[int, Json]]:
    """Return the items of a list of objects, each with its index; what is no object is passed over."""
    items = value.get(name) if isinstance(value, dict) else None
    return [(i, item) for i, item in enumerate(items) if isinstance(item, dict)] if isinstance(items, list) else []


def strings(value: object, name: str) -> list[tuple[int, str]]:
    """Return the items of a list of strings, each with its index."""
    items = value.get(name) if isinstance(value, dict) else None
    return [(i, item) for i, item in enumerate(items) if isinstance(item, str)] if isinstance(items, list) else []


def text(value: object, name: str) -> str:
    """Return a string member, or an empty string."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def child(value: object, name: str) -> Json:
    """Return a member that is an object, or an empty one."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def choice(owner: Json, name: str) -> Value | None:
    """Return the value of a choice: of `valueCoding` the type is Coding, of `valueString` string."""
    for key, json in owner.items():
        rest = key[len(name) :]
        if key.startswith(name) and rest[:1].isupper():
            return Value(rest if isinstance(json, dict) else rest[0].lower() + rest[1:], json)
    return None


def choice_place(place: Place, name: str, value: Value) -> Place:
    """Return the place of a choice's value: `answer.value.ofType(Coding)`."""
    return Place(place, f"{name}.ofType({value.type})")


def extension(owner: object, url: str) -> Value | None:
    """Return the value of the first extension of a URL."""
    return next(extensions(owner, url), None)


def extensions(owner: object, url: str) -> Iterator[Value]:
    """Yield the values of all extensions of a URL."""
    for _, one in objects(owner, "extension"):
        value = choice(one, "value") if one.get("url") == url else None
        if value is not None:
            yield value


def number(json: object) -> Decimal | None:
    """Return a JSON number exactly; None where it is none."""
    if isinstance(json, bool) or not isinstance(json, int | float | str | Decimal):
        return None
    try:
        return Decimal(str(json))
    except InvalidOperation:
        return None


def compare(left: Value, right: Value) -> int | None:
    """Return -1, 0 or 1; None where the two cannot be compared.

    Dates of different precision are compared as far as both go.
    """
    if left.type == "Quantity" and right.type == "Quantity":
        return _quantities(left.json, right.json)
    one, other = number(left.json), number(right.json)
    if one is not None and other is not None and left.type in _NUMBERS and right.type in _NUMBERS:
        return _sign(one, other)
    if left.type != right.type or not (isinstance(left.json, str) and isinstance(right.json, str)):
        return None
    shared = min(len(left.json), len(right.json)) if left.type in _TIMES else None
    return _sign(left.json[:shared], right.json[:shared])


_NUMBERS = ("integer", "decimal", "positiveInt", "unsignedInt")
_TIMES = ("date", "dateTime", "instant", "time")


def _sign(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def _quantities(one: Json, other: Json) -> int | None:
    left, right = number(one.get("value")), number(other.get("value"))
    if left is None or right is None or not same_units(one, other):
        return None
    if one.get("code") == other.get("code"):
        return _sign(left, right)
    from_unit, to_unit = unit(text(one, "code")), unit(text(other, "code"))
    if from_unit is None or to_unit is None:
        return None
    return _sign(Fraction(left) * from_unit.factor + from_unit.shift, Fraction(right) * to_unit.factor + to_unit.shift)


def same_units(one: Json, other: Json) -> bool:
    """Tell whether both have a coded unit, and of the same dimension."""
    code, target = text(one, "code"), text(other, "code")
    if not code or not target or one.get("system") != other.get("system"):
        return False
    if code == target:
        return True
    from_unit, to_unit = unit(code), unit(target)
    return (
        one.get("system") == UCUM
        and from_unit is not None
        and to_unit is not None
        and from_unit.dimensions == to_unit.dimensions
    )
