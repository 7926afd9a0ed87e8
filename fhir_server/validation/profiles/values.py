"""Values that a profile fixes, and the bounds that it sets.

Spec: https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.fixed[x] and the elements after it
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.quantity import compare as compare_quantities
from fhir_server.fhirpath.temporal import Temporal, parse_datetime, parse_time
from fhir_server.fhirpath.temporal import compare as compare_times
from fhir_server.validation.place import Place
from fhir_server.validation.profiles.elements import Json, objects
from fhir_server.validation.profiles.facts import CORE, Facts, natural
from fhir_server.validation.profiles.rule import Rule, SpotCheck
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.run import Run

_MIN_LENGTH = CORE + "minLength"
_ALTERNATIVES = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.valueAlternatives"
_VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue"
_SHOWN = 100


def value_checks(definition: Json, base: Facts, profile: str) -> Iterator[SpotCheck]:
    """Yield the checks on values that a definition has and its base has not."""
    for name, expected in definition.items():
        if base.values.get(name) == expected:
            continue
        if name.startswith("fixed"):
            yield _same(expected, f"is fixed to {{}} in the profile {profile}", exact=True)
        elif name.startswith("pattern"):
            yield _same(expected, f"must match {{}} in the profile {profile}", exact=False)
        elif name.startswith("minValue"):
            yield _bound(expected, 1, f"less than the minValue of the profile {profile}")
        elif name.startswith("maxValue"):
            yield _bound(expected, -1, f"greater than the maxValue of the profile {profile}")
        elif name == "maxLength":
            yield _longest(natural(expected, 1 << 60), profile)
    if "extension" in definition and definition["extension"] != base.values.get("extension"):
        yield from _by_extension(definition["extension"], profile)


def fixed_value(definition: Json) -> tuple[Any, bool] | None:
    """Return the fixed value or the pattern of a definition, and whether it is fixed."""
    for name, value in definition.items():
        if name.startswith(("fixed", "pattern")):
            return value, name.startswith("fixed")
    return None


def same(value: Any, expected: Any, *, exact: bool) -> bool:
    """Whether a value is equal to the expected one, or (not `exact`) has at least all of it."""
    return next(_differences(value, expected, exact), None) is None


def _same(expected: Any, text: str, *, exact: bool) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        if spot.value == expected and not (exact and spot.extra and type(expected) is not dict):
            return
        for steps, found, wanted in _differences(spot.value, expected, exact):
            place: Place = spot
            for step in steps:
                place = Place(place, step)
            run.error(place, "value", f"Value is {_shown(found)} but {text.format(_shown(wanted))}")

    if exact or type(expected) is not dict:
        kind = type(expected)
        return Rule(check, lambda value, _type, _run: type(value) is kind and value == expected)
    return Rule(check, lambda value, _type, _run: same(value, expected, exact=False))


_Difference = tuple[tuple[str, ...], Any, Any]


def _differences(value: Any, expected: Any, exact: bool) -> Iterator[_Difference]:
    """The elements of a value that are not as expected: path, what is there, what should be."""
    if type(expected) is dict:
        yield from _object_differences(value, expected, exact)
    elif type(expected) is list:
        found = value if type(value) is list else []
        if exact and len(found) != len(expected):
            yield (), value, expected
            return
        for index, item in enumerate(expected):
            if not (same(found[index], item, exact=True) if exact else any(same(f, item, exact=False) for f in found)):
                yield (), value, item
    elif type(value) is bool or type(expected) is bool:
        if value is not expected:
            yield (), value, expected
    elif value != expected:
        yield (), value, expected


def _object_differences(value: Any, expected: Any, exact: bool) -> Iterator[_Difference]:
    if type(value) is not dict:
        yield (), value, expected
        return
    for name in sorted(value.keys() - expected.keys()) if exact else ():
        if name != "id":
            yield (name.removeprefix("_"),), value[name], None
    for name, wanted in expected.items():
        if name not in value:
            yield (), value, expected
            return
        for steps, found, item in _differences(value[name], wanted, exact):
            # A list that lacks something is told at its owner, as nothing in it is at fault.
            yield (() if type(wanted) is list else (name, *steps)), found, item


def _shown(value: Any) -> str:
    text = "nothing" if value is None else f"'{_plain(value)}'"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_plain(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- bounds


def _bound(bound: Any, sign: int, text: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        order = _compare(spot.value, bound)
        if order is not None and order * sign < 0:
            run.error(spot, "invalid", f"The value {_shown(spot.value)} is {text}, {_shown(bound)}")

    return check


def _compare(value: Any, bound: Any) -> int | None:
    if type(bound) is dict:
        a, b = _quantity(value), _quantity(bound)
        return compare_quantities(a, b) if a and b else None
    if isinstance(bound, str):
        times = _time(value), _time(bound)
        return compare_times(*times) if times[0] and times[1] else None  # type: ignore[arg-type]
    if isinstance(value, int | Decimal) and isinstance(bound, int | Decimal):
        return (value > bound) - (value < bound)
    return None


def _quantity(value: Any) -> Quantity | None:
    number = value.get("value") if isinstance(value, dict) else None
    if type(number) is int or isinstance(number, Decimal):
        return Quantity(Decimal(number), str(value.get("code") or value.get("unit") or "1"))
    return None


def _time(value: Any) -> Temporal | None:
    return (parse_datetime(value) or parse_time(value)) if isinstance(value, str) else None


# --- lengths


def _longest(most: int, profile: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        if isinstance(spot.value, str) and len(spot.value) > most:
            run.error(spot, "too-long", f"The text has {len(spot.value)} characters; {profile} allows {most}")

    return Rule(check, lambda value, _type, _run: type(value) is str and len(value) <= most)


def _by_extension(extensions: Any, profile: str) -> Iterator[SpotCheck]:
    alternatives: list[str] = []
    for extension in objects(extensions):
        url = extension.get("url")
        if url == _MIN_LENGTH:
            yield _shortest(natural(extension.get("valueInteger"), 0), profile)
        elif url == _VALUE and extension.get("valueBoolean") is True:
            yield _must_have_value(profile)
        elif url == _ALTERNATIVES and isinstance(extension.get("valueCanonical"), str):
            alternatives.append(extension["valueCanonical"])
    if alternatives:
        yield _alternatives(alternatives, profile)


def _must_have_value(profile: str) -> SpotCheck:
    """No extension can stand for the value.

    Spec: https://hl7.org/fhir/R5/elementdefinition-definitions.html#ElementDefinition.mustHaveValue
    """

    def check(spot: Spot, run: Run) -> None:
        if spot.value is None:
            run.error(spot, "invalid", f"There must be a value (from {profile})")

    return check


def _alternatives(urls: list[str], profile: str) -> SpotCheck:
    """Without a value one of these extensions must be there.

    Spec: https://hl7.org/fhir/R5/elementdefinition-definitions.html#ElementDefinition.valueAlternatives
    """

    def check(spot: Spot, run: Run) -> None:
        extensions = objects(spot.fields.get("extension"))
        if spot.value is not None or any(extension.get("url") in urls for extension in extensions):
            return
        text = f"Without a value one of the extensions {', '.join(urls)} must be there (from {profile})"
        run.error(spot, "invalid", text)

    return check


def _shortest(least: int, profile: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        if isinstance(spot.value, str) and len(spot.value) < least:
            text = f"Value '{spot.value}' is shorter than the minimum length of {least} in {profile}"
            run.error(spot, "invalid", text)

    return check
