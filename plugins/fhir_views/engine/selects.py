"""Selection structures compiled to closures that make rows.

A row is a tuple in the order of the columns. Parts of a row come from the columns, the nested selects and the union
of one structure; their rows are multiplied.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#processing-algorithm-model
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from fhir_views.engine.columns import Cell, Column, agreeing, cell, column
from fhir_views.engine.definition import SelectSpec
from fhir_views.engine.faults import Fault, TooManyRows
from fhir_views.engine.iteration import Foci, foci_of
from fhir_views.engine.limits import ViewLimits
from fhir_views.engine.scopes import Compiler, NeedsNodes, Resource, Scope

Row: TypeAlias = tuple[Any, ...]
# (resource, focus, row index) to the rows of one structure.
MakeRows: TypeAlias = Callable[[Resource, Any, int], list[Row]]


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled structure. `cells` stands for `rows` where the part always gives exactly one row."""

    columns: tuple[Column, ...]
    rows: MakeRows
    cells: tuple[Cell, ...] | None = None


def compile_select(spec: SelectSpec, scope: Scope, compiler: Compiler, limits: ViewLimits) -> Part:
    """Compile one structure.

    Raises:
        NeedsNodes: the scope is bare JSON, and something in the structure needs more.
    """
    if not spec.iteration:
        return _body(spec, scope, compiler, limits)
    if scope.kind != "node":
        try:
            return _iterated(spec, scope, compiler, limits, nodes=False)
        except NeedsNodes:
            pass
    return _iterated(spec, scope, compiler, limits, nodes=True)


def compile_all(
    specs: tuple[SelectSpec, ...], scope: Scope, compiler: Compiler, limits: ViewLimits, place: str
) -> Part:
    """Compile siblings: their rows are multiplied."""
    return _product([compile_select(spec, scope, compiler, limits) for spec in specs], place)


def _iterated(spec: SelectSpec, scope: Scope, compiler: Compiler, limits: ViewLimits, *, nodes: bool) -> Part:
    foci, inner = foci_of(spec, scope, compiler, limits, nodes=nodes)
    body = _body(spec, inner, compiler, limits)
    return Part(body.columns, _for_each(foci, body, spec))


def _body(spec: SelectSpec, scope: Scope, compiler: Compiler, limits: ViewLimits) -> Part:
    """What one focus gives: columns, nested selects, union, in this order."""
    parts = [_columns(spec, scope, compiler)] if spec.columns else []
    parts += [compile_select(each, scope, compiler, limits) for each in spec.selects]
    if spec.unions:
        parts.append(_union(spec, scope, compiler, limits))
    return _product(parts, spec.place)


def _columns(spec: SelectSpec, scope: Scope, compiler: Compiler) -> Part:
    columns = tuple(column(each, compiler, scope) for each in spec.columns)
    return _flat(columns, tuple(cell(each, compiler, scope) for each in spec.columns))


def _flat(columns: tuple[Column, ...], cells: tuple[Cell, ...]) -> Part:
    def rows(resource: Resource, focus: Any, index: int) -> list[Row]:
        return [tuple([make(resource, focus, index) for make in cells])]

    return Part(columns, rows, cells)


def _union(spec: SelectSpec, scope: Scope, compiler: Compiler, limits: ViewLimits) -> Part:
    branches = [compile_select(each, scope, compiler, limits) for each in spec.unions]
    agreeing([(each.place, branch.columns) for each, branch in zip(spec.unions, branches, strict=True)], compiler)
    makers = [branch.rows for branch in branches]

    def rows(resource: Resource, focus: Any, index: int) -> list[Row]:
        return [row for make in makers for row in make(resource, focus, index)]

    return Part(branches[0].columns, rows)


def _product(parts: list[Part], place: str) -> Part:
    """Every row of each part with every row of the others."""
    merged = list(_merged(parts))
    columns = tuple(each for part in merged for each in part.columns)
    if len(merged) == 1:
        return merged[0]
    if not merged:
        return _flat((), ())
    makers = [part.rows for part in merged]

    def rows(resource: Resource, focus: Any, index: int) -> list[Row]:
        found: list[Row] = [()]
        for make in makers:
            more = make(resource, focus, index)
            if not more:
                return more
            _bounded(resource, len(found) * len(more), place)
            found = [row + other for row in found for other in more]
        return found

    return Part(columns, rows)


def _merged(parts: list[Part]) -> Iterator[Part]:
    """Parts of one row each that stand side by side become one."""
    waiting: Part | None = None
    for part in parts:
        if waiting is not None and waiting.cells is not None and part.cells is not None:
            waiting = _flat(waiting.columns + part.columns, waiting.cells + part.cells)
            continue
        if waiting is not None:
            yield waiting
        waiting = part
    if waiting is not None:
        yield waiting


def _for_each(foci: Foci, body: Part, spec: SelectSpec) -> MakeRows:
    make, place = body.rows, spec.place

    def rows(resource: Resource, focus: Any, index: int) -> list[Row]:
        found: list[Row] = []
        for number, element in enumerate(foci(resource, focus, index)):
            found += make(resource, element, number)
            _bounded(resource, len(found), place)
        return found

    if spec.iteration != "forEachOrNull":
        return rows
    empty = [tuple(_absent(each) for each in body.columns)]
    return lambda resource, focus, index: rows(resource, focus, index) or empty


def _absent(column: Column) -> Any:
    """What a column has in the row that `forEachOrNull` gives for nothing."""
    return 0 if column.counts else [] if column.collection else None


def _bounded(resource: Resource, rows: int, place: str) -> None:
    if rows > resource.limit:
        raise TooManyRows(Fault(place, f"one resource gives more than {resource.limit} rows here"))
