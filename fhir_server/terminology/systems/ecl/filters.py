"""The filters `{{ }}` of expression constraints, on concepts and on descriptions.

Spec: https://confluence.ihtsdotools.org/display/DOCECL/6.8+Filters
"""

import re
from collections.abc import Callable, Sequence

from fhir_server.errors import BadValue
from fhir_server.terminology.systems.ecl.syntax import Test
from fhir_server.terminology.systems.intervals import EMPTY, Intervals
from fhir_server.terminology.systems.store import Row, Store

_TYPES = {"SYN": "900000000000013009", "FSN": "900000000000003001", "DEF": "900000000000550004"}
_TRUE = ("TRUE", "1")
_WORD = re.compile(r"\w+")
_DEFINED = {"DEFINED": "true", "900000000000073002": "true", "PRIMITIVE": "false", "900000000000074008": "false"}

Holds = Callable[[Row], bool]


def passing(store: Store, numbers: Intervals, tests: Sequence[Test]) -> Intervals:
    """Return the concepts that all tests hold for; those on descriptions for one and the same description."""
    for test in tests:
        if test.about == "C":
            found = _of_concepts(store, test)
            numbers = numbers - found if test.operator == "!=" else numbers & found
    of_descriptions = [_of_descriptions(test) for test in tests if test.about == "D" and test.name != "ACTIVE"]
    if not of_descriptions:
        return numbers
    numbers = numbers & _with_words(store, tests)
    return Intervals.of_numbers(
        number
        for number in numbers
        if any(all(holds(row) for holds in of_descriptions) for row in _descriptions(store, number))
    )


def _of_concepts(store: Store, test: Test) -> Intervals:
    if test.name == "ACTIVE":
        return store.where("inactive = ?", int(test.values[0] not in _TRUE))
    if test.name in ("DEFINITIONSTATUS", "DEFINITIONSTATUSID"):
        return _with_property(store, "sufficientlyDefined", [_DEFINED.get(value, "") for value in test.values])
    if test.name in ("MODULE", "MODULEID"):
        return _with_property(store, "moduleId", test.values)
    raise BadValue(f"expression constraint: the filter {test.name} of concepts is not supported")


def _with_property(store: Store, name: str, values: Sequence[str]) -> Intervals:
    found = EMPTY
    for kind in store.kinds(name):
        for value in values:
            found = found | store.ids("SELECT concept FROM property WHERE kind = ? AND value = ?", (kind, value))
            target = store.number(value)
            found = found | store.ids("SELECT source FROM relation WHERE kind = ? AND target = ?", (kind, target))
    return found


def _descriptions(store: Store, number: int) -> Sequence[Row]:
    return store.designations(number)


def _with_words(store: Store, tests: Sequence[Test]) -> Intervals:
    """Return what may hold the terms at all, by the index of words."""
    found = store.all()
    for test in tests:
        if test.name == "TERM" and test.operator == "=" and test.style == "match":
            any_of = EMPTY
            for value in test.values:
                words = _WORD.findall(value)
                any_of = any_of | (store.having_words(" AND ".join(f'"{w}"*' for w in words)) if words else EMPTY)
            found = found & any_of
    return found


def _of_descriptions(test: Test) -> Holds:
    make = _DESCRIPTIONS.get(test.name)
    if make is None:
        raise BadValue(f"expression constraint: the filter {test.name} of descriptions is not supported")
    holds = make(test)
    return (lambda row: not holds(row)) if test.operator == "!=" else holds


def _term(test: Test) -> Holds:
    if test.style == "wild":
        patterns = [value.casefold().split("*") for value in test.values]
        return lambda row: any(_wild(pattern, row[0].casefold()) for pattern in patterns)
    asked = [[word.casefold() for word in _WORD.findall(value)] for value in test.values]

    def holds(row: Row) -> bool:
        words = [word.casefold() for word in _WORD.findall(row[0])]
        return any(all(any(word.startswith(part) for word in words) for part in parts) for parts in asked)

    return holds


def _wild(parts: Sequence[str], text: str) -> bool:
    """Match what stands between stars from left to right, each as early as it goes, which is never wrong."""
    first, *rest = parts
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - len(rest[-1]) >= at and text.endswith(rest[-1])


def _language(test: Test) -> Holds:
    languages = {value.lower() for value in test.values}
    return lambda row: row[1].lower() in languages


def _type(test: Test) -> Holds:
    types = {_TYPES.get(value, value) for value in test.values}
    return lambda row: row[3] in types


def _dialect(test: Test) -> Holds:
    dialects = set(test.values)
    return lambda row: not dialects.isdisjoint(row[5].split())


_DESCRIPTIONS: dict[str, Callable[[Test], Holds]] = {
    "TERM": _term,
    "LANGUAGE": _language,
    "TYPE": _type,
    "TYPEID": _type,
    "DIALECTID": _dialect,
}
