"""Quantities: in UCUM base units where both sides have them, else as stated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_server.search import query as q
from fhir_server.search.compare import Law, number_law
from fhir_server.storage.sqlite.compile_ranges import law, range_of_low, window
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import NEVER, Predicate, Rows, Source, Sql, both, joined, one_of, sql
from fhir_server.storage.sqlite.composites import CANONICAL_SYSTEM


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to compare: rows of these units (None: of any) by a law, on the key (`unit`, `low`, `high`) or on what
    was stated."""

    units: Sequence[int] | None
    law: Law
    stated: bool

    def condition(self, column: Callable[[str], str]) -> Sql:
        """Return the condition on a row, whose columns are named by `column`."""
        prefix = "stated_" if self.stated else ""
        holds = law(self.law, column(f"{prefix}low"), column(f"{prefix}high"))
        return both([holds] if self.units is None else [column(f"{prefix}unit") + one_of(self.units), holds])


def quantity(node: q.Quantity, scope: Scope) -> Predicate:
    """Any of the values."""
    label = f"{node.param}={','.join(f'{v.number.prefix}{v.number.value} {v.code}' for v in node.values[:5])}"
    param = scope.param(node.param)
    if param is None:
        return NEVER
    rows = Rows("quantity", scope.alias(), param)
    found = [each for value in node.values for each in alternatives(scope, value)]
    return rows.some(label, [_case(rows, each) for each in found])


def alternatives(scope: Scope, value: q.QuantityValue) -> list[Alternative]:
    """Return the ways in which a row may satisfy a value; none if its units are unknown."""
    units, stated = scope.values.units(value.system, value.code), number_law(value.number)
    if value.canonical is None:
        return [] if units == [] else [Alternative(units, stated, stated=True)]
    number, unit = value.canonical
    canonical = scope.values.token(CANONICAL_SYSTEM, unit)
    found = [] if canonical is None else [Alternative([canonical], number_law(number), stated=False)]
    # A row without a canonical form has what was stated in its key.
    return [*found, Alternative(units, stated, stated=False)] if units else found


def _case(rows: Rows, each: Alternative) -> tuple[Sql, Source]:
    where = each.condition(lambda column: f"+{rows.a}.{column}")
    return where, _source(rows, each, where)


def _source(rows: Rows, each: Alternative, where: Sql) -> Source:
    a, implied = rows.a, window(each.law)
    if each.stated or each.units is None:
        return rows.filtered(rows.key, where)
    of_unit = f" AND {a}.unit" + one_of(each.units)
    if implied.starts is not None or implied.lasts is None:
        return rows.filtered(rows.key + of_unit + range_of_low(each.law, a), where)
    # Most rows are points, found by `low`; the others are few and stand in an index of their own.
    points = rows.filtered(rows.key + of_unit + sql(f" AND {a}.low>=?", implied.lasts), where)
    wide = f" FROM quantity {a} INDEXED BY quantity_wide WHERE {a}.param=? AND {a}.high>{a}.low AND {a}.low<?"
    ranges = rows.filtered(
        sql(wide, rows.param, implied.lasts) + of_unit + sql(f" AND {a}.high>=?", implied.lasts), where
    )
    return Source(joined([points.select, ranges.select], " UNION ALL "), parts=(points, ranges))
