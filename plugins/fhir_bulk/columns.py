"""The columns of a resource type in a table: structs and lists as its definition has them.

What would be endless (an Identifier in a Reference in an Identifier) or of any type is a column of JSON text; numbers
are doubles, dates are texts, for they may be of less precision than a day. A resource with members that have no
column, such as extensions of primitives, has its whole JSON in the last one, so nothing is lost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from fhir_server.plugin_api import Definitions, encode

WHOLE = "_json"
"""The column that has the resource where the others leave something out."""
_DEEPEST = 5
_MOST_TYPES = 15
_INTEGERS = frozenset(("integer", "positiveInt", "unsignedInt"))
_LARGEST = 2**31
_AS_JSON = frozenset(("contained", "extension", "modifierExtension"))

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, and how a JSON value becomes its value."""

    type: Any
    convert: Convert


class Lost(Exception):
    """A value has members that have no column."""


class Columns:
    """The columns of one resource type."""

    def __init__(self, type_: str, definitions: Definitions) -> None:
        self._definitions = definitions
        self._columns = {"resourceType": _TEXT, **self._of(type_, (type_,))}
        fields = [pa.field(name, column.type) for name, column in self._columns.items()]
        self.schema = pa.schema([*fields, pa.field(WHOLE, pa.string())])

    def row(self, resource: Mapping[str, Any], line: bytes) -> dict[str, Any]:
        """Return a resource as a row."""
        found: dict[str, Any] = {}
        whole = None
        for name, value in resource.items():
            column = self._columns.get(name)
            try:
                if column is None:
                    raise Lost(name)
                found[name] = column.convert(value)
            except (Lost, OverflowError):
                whole = line.decode()
                if column is not None:
                    found[name] = _without(column, value)
        return {**found, WHOLE: whole}

    def _of(self, type_: str, path: tuple[str, ...]) -> dict[str, Column]:
        found: dict[str, Column] = {}
        for element in self._definitions.types[type_].elements:
            for name, kind in element.json_names.items():
                if name in _AS_JSON:
                    column = _JSON
                elif element.choice and len(element.types) > _MOST_TYPES:
                    column = self._open(kind.code if kind else "")
                else:
                    column = self._one(element.type_key or (kind.code if kind else ""), path)
                found[name] = _listed(column) if element.max != 1 and column is not _JSON else column
        return found

    def _open(self, code: str) -> Column:
        """Return the column of one type of a choice of any type: a primitive, or JSON."""
        definition = self._definitions.types.get(code)
        return self._primitive(code) if definition is not None and definition.kind == "primitive-type" else _JSON

    def _one(self, type_: str, path: tuple[str, ...]) -> Column:
        definition = self._definitions.types.get(type_)
        if definition is None or type_ in path or len(path) > _DEEPEST or definition.kind == "resource":
            return _JSON
        if definition.kind == "primitive-type":
            return self._primitive(type_)
        members = self._of(type_, (*path, type_))
        return Column(pa.struct([(name, each.type) for name, each in members.items()]), _struct(members))

    def _primitive(self, type_: str) -> Column:
        if type_ == "decimal":
            return Column(pa.float64(), _number)
        if type_ == "boolean":
            return Column(pa.bool_(), _boolean)
        return Column(pa.int32(), _integer) if type_ in _INTEGERS else _TEXT


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Lost("no text")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Lost("no boolean")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -_LARGEST <= value < _LARGEST:
        raise Lost("no integer")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise Lost("no number")
    return float(value)


_TEXT = Column(pa.string(), _text)


def _json(value: Any) -> str:
    return encode(value).decode()


_JSON = Column(pa.string(), _json)


def _listed(column: Column) -> Column:
    convert = column.convert

    def listed(value: Any) -> Any:
        if not isinstance(value, list):
            raise Lost("no list")
        return [None if each is None else convert(each) for each in value]

    return Column(pa.list_(column.type), listed)


def _struct(members: Mapping[str, Column]) -> Convert:
    converts = {name: column.convert for name, column in members.items()}

    def struct(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Lost("no object")
        try:
            return {name: converts[name](each) for name, each in value.items()}
        except KeyError as error:
            raise Lost(str(error)) from None

    return struct


def _without(column: Column, value: Any) -> Any:
    """Return what of a value has a column."""
    if not pa.types.is_list(column.type):
        return _kept(column.convert, column.type, value)
    if not isinstance(value, list):
        return None
    return [_kept(lambda each: column.convert([each])[0], column.type.value_type, each) for each in value]


def _kept(convert: Convert, type_: Any, value: Any) -> Any:
    try:
        return convert(_pruned(type_, value))
    except (Lost, OverflowError):
        return None


def _pruned(type_: Any, value: Any) -> Any:
    if pa.types.is_list(type_) and isinstance(value, list):
        return [_pruned(type_.value_type, each) for each in value]
    if pa.types.is_struct(type_) and isinstance(value, dict):
        fields = {field.name: field.type for field in type_}
        return {name: _pruned(fields[name], each) for name, each in value.items() if name in fields}
    return value
