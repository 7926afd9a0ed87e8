"""Which concepts of a held code system a filter of a value set selects, as sets of numbers.

Spec: https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

import time
from collections.abc import Callable, Mapping, Sequence

import regex

from fhir_server.errors import BadValue, TooCostly
from fhir_server.terminology.code_system import Filter
from fhir_server.terminology.systems.ecl import evaluate
from fhir_server.terminology.systems.intervals import EMPTY, Intervals
from fhir_server.terminology.systems.store import Store

_CODE = frozenset(("concept", "code"))
_COLUMNS = {"display": "display", "status": "status", "definition": "definition"}
_FLAGS = {"inactive": "inactive", "notSelectable": "abstract", "abstract": "abstract"}
_EXPRESSIONS = frozenset(("constraint", "expression", "ecl"))
# Of LOINC: the answers of a list, and those to a question.
_LISTS = frozenset(("LIST", "list", "answers-for"))
_REGEX_SECONDS = 1.0
_WORD = regex.compile(r"[\p{L}\p{N}]+")
_MOST_WORDS = 20


def numbers_of(store: Store, filter_: Filter) -> Intervals:
    """Return the concepts that a filter selects.

    Raises:
        BadValue: an operator or property that is not supported here, or a code that there is not.
        TooCostly: a regular expression takes too long.
    """
    if filter_.property in _CODE and filter_.op in _OF_HIERARCHY:
        return _OF_HIERARCHY[filter_.op](store, _known(store, filter_.value))
    if store.kind == "snomed" and filter_.op == "=" and filter_.property in _EXPRESSIONS:
        return evaluate(store, filter_.value)
    if store.kind == "snomed" and filter_.op == "=" and filter_.property == "expressions":
        return store.all()
    if store.kind == "snomed" and filter_.property in _CODE and filter_.op == "in":
        return store.members(_known(store, filter_.value))
    make = _OF_VALUES.get(filter_.op)
    if make is None:
        raise BadValue(
            f"the operator {filter_.op[:50]!r} on {filter_.property[:100]!r} is not supported for {store.header.url}"
        )
    return make(store, filter_.property, filter_.value)


def numbers_with_text(store: Store, text: str) -> Intervals:
    """Return the concepts of which the code, display or a designation has words that begin with all of the text's."""
    words = _WORD.findall(text)[:_MOST_WORDS]
    if not words:
        return EMPTY
    return store.having_words(" AND ".join(f'"{word}"*' for word in words))


def _known(store: Store, code: str) -> int:
    number = store.number(code.strip())
    if number is None:
        raise BadValue(f"the system {store.header.url} has no code {code[:200]!r}")
    return number


def _one(number: int) -> Intervals:
    return Intervals((number, number + 1))


_OF_HIERARCHY: Mapping[str, Callable[[Store, int], Intervals]] = {
    "is-a": lambda store, number: store.below(number),
    "descendent-of": lambda store, number: store.below(number) - _one(number),
    "is-not-a": lambda store, number: store.all() - store.below(number),
    "generalizes": lambda store, number: store.above_all(_one(number)),
    "child-of": lambda store, number: store.children(_one(number)),
    "descendent-leaf": lambda store, number: (store.below(number) - _one(number)) & store.leaves(),
}


def _equal(store: Store, property_: str, value: str) -> Intervals:
    return _among(store, property_, (value,))


def _in(store: Store, property_: str, value: str) -> Intervals:
    return _among(store, property_, [item.strip() for item in value.split(",")])


def _not_in(store: Store, property_: str, value: str) -> Intervals:
    return store.all() - _in(store, property_, value)


def _among(store: Store, property_: str, values: Sequence[str]) -> Intervals:
    found = EMPTY
    for value in values:
        found = found | _having(store, property_, value)
    return found


def _having(store: Store, property_: str, value: str) -> Intervals:
    """Return the concepts of which a property has a value."""
    if store.kind == "rxnorm":
        # https://hl7.org/fhir/R4/rxnorm.html writes concepts in relations so.
        value = value.removeprefix("CUI:")
    if property_ in _CODE:
        return store.numbers([value])
    if property_ in _COLUMNS:
        return store.where(f"{_COLUMNS[property_]} = ?", value)
    if property_ in _FLAGS:
        return store.where(f"{_FLAGS[property_]} = ?", int(value == "true"))
    if property_ in _NEAR:
        return _NEAR[property_](store, store.numbers([value]))
    found = EMPTY
    for kind in _kinds(store, property_):
        sql = "SELECT concept FROM property WHERE kind = ? AND value = ? ORDER BY concept"
        found = found | store.ids(sql, (kind, value))
        sql = "SELECT source FROM relation WHERE kind = ? AND target = ? ORDER BY source"
        found = found | store.ids(sql, (kind, store.number(value)))
    return found | _in_list(store, property_, value)


_NEAR: Mapping[str, Callable[[Store, Intervals], Intervals]] = {
    "parent": lambda store, numbers: store.children(numbers),
    "child": lambda store, numbers: store.parents(numbers),
    "ancestor": lambda store, numbers: store.below_all(numbers) - numbers,
    "descendant": lambda store, numbers: store.above_all(numbers) - numbers,
}


def _in_list(store: Store, property_: str, value: str) -> Intervals:
    if property_ not in _LISTS or (list_ := store.number(value)) is None:
        return EMPTY
    return store.members(list_)


def _kinds(store: Store, property_: str) -> Sequence[int]:
    kinds = store.kinds(property_)
    if not kinds and property_ not in _LISTS:
        raise BadValue(f"the system {store.header.url} has no property {property_[:100]!r}")
    return kinds


def _exists(store: Store, property_: str, value: str) -> Intervals:
    found = _with(store, property_)
    return found if value == "true" else store.all() - found


def _with(store: Store, property_: str) -> Intervals:
    if property_ in _CODE or property_ in _FLAGS:
        return store.all()
    if property_ in _COLUMNS:
        return store.where(f"{_COLUMNS[property_]} <> ''")
    if property_ in _EDGES:
        return store.ids(_EDGES[property_])
    found = EMPTY
    for kind in _kinds(store, property_):
        for sql in ("SELECT concept FROM property WHERE kind = ?", "SELECT source FROM relation WHERE kind = ?"):
            found = found | store.ids(sql, (kind,))
    return found


_EDGES = {"parent": "SELECT DISTINCT child FROM edge", "child": "SELECT DISTINCT parent FROM edge"}


def _regex(store: Store, property_: str, value: str) -> Intervals:
    """Return the concepts of which the whole value matches, within a bounded time."""
    try:
        pattern = regex.compile(value)
    except regex.error as error:
        raise BadValue(f"the regular expression {value[:200]!r} is wrong: {error}") from None
    until = time.monotonic() + _REGEX_SECONDS
    found = []
    for number, text in _texts(store, property_):
        left = until - time.monotonic()
        try:
            if left > 0 and pattern.fullmatch(text, timeout=left):
                found.append(number)
        except TimeoutError:
            left = 0
        if left <= 0:
            raise TooCostly(f"the regular expression {value[:200]!r} takes more than {_REGEX_SECONDS:.0f} s")
    return Intervals.of_numbers(found)


def _texts(store: Store, property_: str) -> Sequence[tuple[int, str]]:
    column = "code" if property_ in _CODE else _COLUMNS.get(property_)
    if column:
        return store.query(f"SELECT id, {column} FROM concept")  # noqa: S608  # a name of ours
    found: list[tuple[int, str]] = []
    for kind in _kinds(store, property_):
        found += store.query("SELECT concept, value FROM property WHERE kind = ?", kind)
        found += store.query("SELECT source, code FROM relation JOIN concept ON target = id WHERE kind = ?", kind)
    return found


_OF_VALUES: Mapping[str, Callable[[Store, str, str], Intervals]] = {
    "=": _equal,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}
