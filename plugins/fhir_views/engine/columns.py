"""The columns that a view gives: their names, types and order; unions must agree in them.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#column-ordering and #column-types
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.plugin_api import FhirPathError
from fhir_views.engine.definition import ColumnSpec, Text
from fhir_views.engine.faults import Fault, RowError
from fhir_views.engine.scopes import ROW_INDEX, Compiler, Evaluate, Resource, Scope

Cell = Callable[[Resource, Any, int], Any]

_OF_SYSTEM = {
    "Boolean": "boolean", "String": "string", "Integer": "integer", "Decimal": "decimal", "Date": "date",
    "DateTime": "dateTime", "Time": "time", "Quantity": "Quantity",
}  # fmt: skip

_FAMILIES = {
    name: family
    for family, names in {
        "text": "string code id uri url canonical oid uuid markdown base64Binary xhtml",
        "number": "integer positiveInt unsignedInt integer64 decimal",
        "day": "date dateTime instant",
        "time": "time",
        "boolean": "boolean",
    }.items()
    for name in names.split()
}
"""Primitive types by what their values are like."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the output.

    Attributes:
        type: the FHIR type of its values; what is declared, else what the expression gives, else `string`.
        declared: whether the definition says the type.
        collection: whether a value is an array.
        counts: whether it is `%rowIndex`, which is 0 in the row that `forEachOrNull` gives for nothing.
    """

    name: str
    type: str
    place: str
    declared: bool = False
    collection: bool = False
    description: str = ""
    counts: bool = False


def column(spec: ColumnSpec, compiler: Compiler, scope: Scope) -> Column:
    """The column that a specification describes."""
    types = compiler.types(spec.path, scope)  # also notes names that cannot be there
    if said := _mistyped(spec.type, types, compiler):
        compiler.warnings.setdefault(spec.path.place, Fault(f"{spec.place}.type", said))
    counts = spec.path.value.strip() == f"%{ROW_INDEX}"
    return Column(
        name=spec.name,
        type=spec.type or ("integer" if counts else _inferred(types)),
        place=spec.place,
        declared=bool(spec.type),
        collection=spec.collection,
        description=spec.description,
        counts=counts,
    )


def _mistyped(said: str, types: frozenset[str] | None, compiler: Compiler) -> str:
    """What is wrong with the declared type of a column, if its path tells; empty where it is right, or not known.

    Any primitive may go into a column of strings.
    """
    if not types or len(types) > 1:
        return ""
    found = next(iter(types))
    given = _FAMILIES.get(_OF_SYSTEM.get(found.removeprefix("System."), found))
    if given is None and (compiler.model.is_primitive(found) or not compiler.model.known(found)):
        return ""
    if not said:
        return "" if given else f"the path gives {found}, which is no primitive: say so by type"
    if said == "string" or _FAMILIES.get(said) in (None, given):
        return ""
    return f"the path gives {found.removeprefix('System.')}, not {said}"


def _inferred(types: frozenset[str] | None) -> str:
    if types is None or len(types) != 1:
        return "string"
    name = next(iter(types))
    return _OF_SYSTEM.get(name.removeprefix("System."), "string") if name.startswith("System.") else name


def cell(spec: ColumnSpec, compiler: Compiler, scope: Scope) -> Cell:
    """What makes the value of a column: one value or null, or an array for a collection."""
    if not spec.collection and (found := compiler.walk(spec.path, scope)):
        walk, primitive = found
        return _plain(spec.path, walk, primitive, "" if compiler.joins(spec.path) else None)
    evaluate = compiler.evaluator(spec.path, scope)
    if spec.collection:
        return lambda resource, focus, index: list(evaluate(resource, focus, index))
    return _single(spec.path, evaluate)


def _plain(path: Text, walk: Callable[[Any], list[Any]], primitive: bool, absent: str | None) -> Cell:
    """The usual column, with as few calls as can be."""
    place = path.place

    def value(resource: Resource, focus: Any, index: int) -> Any:
        try:
            found = walk(focus)
        except FhirPathError as error:
            raise RowError(Fault(place, str(error))) from None
        if not found:
            return absent
        if len(found) > 1:
            raise _several(place, len(found))
        only = found[0]
        return None if primitive and type(only) is dict else only

    return value


def _single(path: Text, evaluate: Evaluate) -> Cell:
    place = path.place

    def value(resource: Resource, focus: Any, index: int) -> Any:
        found = evaluate(resource, focus, index)
        if len(found) > 1:
            raise _several(place, len(found))
        return found[0] if found else None

    return value


def _several(place: str, count: int) -> RowError:
    message = f"gives {count} values where one is expected; take first(), or say collection: true"
    return RowError(Fault(place, message))


def distinct(columns: Iterable[Column], compiler: Compiler) -> None:
    """Note each name that occurs twice."""
    seen: set[str] = set()
    for each in columns:
        if each.name and each.name in seen:
            compiler.faults.append(Fault(f"{each.place}.name", f"there is a column {each.name} already"))
        seen.add(each.name)


def agreeing(branches: list[tuple[str, tuple[Column, ...]]], compiler: Compiler) -> None:
    """Note each branch of a union, by its place, whose columns are not those of the first."""
    wanted = [(each.name, each.collection) for each in branches[0][1]]
    for place, columns in branches[1:]:
        if [(each.name, each.collection) for each in columns] != wanted:
            names, first = (", ".join(each.name for each in found) for found in (columns, branches[0][1]))
            message = f"the branches of a union have the same columns in the same order: {names} is not {first}"
            compiler.faults.append(Fault(place, message))
            continue
        for each, like in zip(columns, branches[0][1], strict=True):
            if each.declared and like.declared and each.type != like.type:
                message = f"column {each.name} is {each.type} here and {like.type} in the first branch of the union"
                compiler.faults.append(Fault(f"{each.place}.type", message))
