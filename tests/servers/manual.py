"""What MongoDB's manual refuses of filters, projections, updates, documents and indexes, and emulators let pass.

Manual: https://www.mongodb.com/docs/manual/reference/limits/
        https://www.mongodb.com/docs/manual/reference/operator/query/
        https://www.mongodb.com/docs/manual/reference/operator/update/
        https://www.mongodb.com/docs/manual/core/index-partial/#create-a-partial-index
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

DEEPEST: Final = 100
"""Levels of a document, and of a filter."""
_LONGEST_PATTERN: Final = 32_764
_MOST_FIELDS: Final = 32
_TREES: Final = {"$and", "$or", "$nor"}
_TESTS: Final = {
    "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not", "$elemMatch", "$regex", "$options",
    "$type", "$size", "$all", "$mod",
}  # fmt: skip
_PARTIAL: Final = {"$eq", "$exists", "$gt", "$gte", "$lt", "$lte", "$type", "$and", "$or", "$in"}
_UPDATES: Final = {
    "$set", "$unset", "$inc", "$max", "$min", "$addToSet", "$push", "$pull", "$currentDate", "$setOnInsert", "$rename",
    "$mul",
}  # fmt: skip


class Wrong(Exception):
    """MongoDB refuses this; its error code, and what it says."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


def check_filter(match: Mapping[str, Any], level: int = 0) -> None:
    """Refuse a filter that is none."""
    if level > DEEPEST:
        raise Wrong(2, f"BadValue: a filter deeper than {DEEPEST} levels")
    for name, value in match.items():
        if name in _TREES:
            if not isinstance(value, list) or not value:
                raise Wrong(2, f"BadValue: {name} must be a nonempty array")
            for each in value:
                check_filter(each, level + 1)
        elif name.startswith("$") and name not in ("$expr", "$comment"):
            raise Wrong(2, f"BadValue: unknown top level operator: {name}")
        elif _is_test(value):
            _check_test(value, level + 1)


def _is_test(value: Any) -> bool:
    return isinstance(value, Mapping) and any(name.startswith("$") for name in value)


def _check_test(test: Mapping[str, Any], level: int) -> None:
    for name, value in test.items():
        if name not in _TESTS:
            raise Wrong(2, f"BadValue: unknown operator: {name}")
        if name in ("$in", "$nin", "$all") and not isinstance(value, list):
            raise Wrong(2, f"BadValue: {name} needs an array")
        if name == "$regex" and (len(value.encode()) > _LONGEST_PATTERN or "\0" in value):
            raise Wrong(51091, "a regular expression that is too long, or has a NUL")
        if name == "$not":
            _check_test(value, level + 1)
        if name == "$elemMatch":
            (_check_test if _is_test(value) and not _TREES & set(value) else check_filter)(value, level + 1)


def check_projection(fields: Mapping[str, Any]) -> None:
    """Refuse fields that are asked for beside others that are left out; `_id` alone may be either."""
    kinds = {bool(value) for name, value in fields.items() if name != "_id" and isinstance(value, bool | int | float)}
    if len(kinds) > 1:
        raise Wrong(31254, "Cannot do exclusion on a field in inclusion projection")
    _check_apart(fields, 31249, "Path collision")


def check_update(update: Mapping[str, Any] | Sequence[Any]) -> None:
    """Refuse an update with unknown operators, or with two for one path."""
    if isinstance(update, Sequence) or not any(name.startswith("$") for name in update):
        return
    if unknown := set(update) - _UPDATES:
        raise Wrong(9, f"FailedToParse: unknown modifier: {unknown}")
    _check_apart([path for paths in update.values() for path in paths], 40, "ConflictingUpdateOperators")


def _check_apart(paths: Iterable[str], code: int, said: str) -> None:
    for one, other in combinations(sorted(paths), 2):
        if one == other or other.startswith(f"{one}."):
            raise Wrong(code, f"{said}: {one} and {other}")


def check_document(document: Any, level: int = 0) -> None:
    """Refuse what no document may be: too deep, or with names that are none."""
    if level > DEEPEST:
        raise Wrong(15, f"Overflow: a document deeper than {DEEPEST} levels")
    if isinstance(document, Mapping):
        for name, value in document.items():
            if "\0" in name:
                raise Wrong(2, f"BadValue: the name of a field has a NUL: {name!r}")
            check_document(value, level + 1)
    elif isinstance(document, list):
        for each in document:
            check_document(each, level + 1)


def check_indexes(indexes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse indexes that cannot be made: of many fields, named alike, or over a part that cannot be told."""
    names = [each["name"] for each in indexes]
    if len(set(names)) < len(names):
        raise Wrong(68, "IndexAlreadyExists: identical index in one command")
    for index in indexes:
        if not 0 < len(index["key"]) <= _MOST_FIELDS:
            raise Wrong(13103, "an index of more than 32 fields")
        if "partialFilterExpression" in index:
            check_filter(index["partialFilterExpression"])
            _check_part(index["partialFilterExpression"])


def _check_part(part: Any) -> None:
    for name, value in part.items() if isinstance(part, Mapping) else ():
        if name.startswith("$") and (name not in _PARTIAL or (name == "$exists" and not value)):
            raise Wrong(67, f"CannotCreateIndex: unsupported expression in partial index: {name}: {value}")
        for each in value if isinstance(value, list) else [value]:
            _check_part(each)
