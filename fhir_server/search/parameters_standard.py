"""The search parameters of R4, from the definitions."""

from collections.abc import Mapping

from fhir_server.definitions import Definitions, SearchParameterDefinition
from fhir_server.search.extraction.routes import Route
from fhir_server.search.parameter import COMPARATORS, MODIFIERS, Component, Parameter, concrete, ignores_case, routes

_UNANSWERED = frozenset({"_query"})
"""Names an operation, finds nothing by itself: https://hl7.org/fhir/R4/search.html#query"""

_ERRATA: Mapping[str, tuple[str, ...]] = {
    # The definitions and the expressions of the components are in opposite order.
    "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": ("target", "code"),
    # There is no type DateTime.
    "http://hl7.org/fhir/SearchParameter/Observation-code-value-date": (
        "code",
        "value.as(dateTime) | value.as(Period)",
    ),
}
"""Component expressions that are wrong in R4, by URL of the composite."""


def standard_parameters(facts: Definitions) -> Mapping[str, Mapping[str, Parameter]]:
    """Return the parameters of every type with an endpoint, by type and code, sorted by code."""
    by_url = {row.url: row for row in facts.search_parameters}
    table: dict[str, dict[str, Parameter]] = {type_: {} for type_ in facts.resource_types}
    # Those of Resource first: a type's own parameter of the same code comes before them.
    for row in sorted(facts.search_parameters, key=lambda r: (r.base[0] not in ("Resource", "DomainResource"), r.url)):
        if row.code in _UNANSWERED:
            continue
        for base in row.base:
            parameter = _of_definition(row, base, facts, by_url)
            for type_ in concrete(base, facts):
                table[type_][row.code] = parameter
    return {type_: dict(sorted(rows.items())) for type_, rows in table.items()}


def _of_definition(
    row: SearchParameterDefinition, base: str, facts: Definitions, by_url: Mapping[str, SearchParameterDefinition]
) -> Parameter:
    expressions = _ERRATA.get(row.url) or tuple(expression for _, expression in row.components)
    parts = [(by_url[url], expression) for (url, _), expression in zip(row.components, expressions, strict=True)]
    return Parameter(
        row.code, row.type, row.url, base, row.expression,
        targets=_targets(row, base, facts),
        components=tuple(Component(p.code, p.type, p.url, expression, p.targets) for p, expression in parts),
        multiple_or=row.multiple_or,
        multiple_and=row.multiple_and,
        modifiers=row.modifiers or MODIFIERS.get(row.type, ("missing",)),
        comparators=row.comparators or COMPARATORS.get(row.type, ()),
        ignores_case=ignores_case(row.type, row.expression, base, facts),
    )  # fmt: skip


def _targets(row: SearchParameterDefinition, base: str, facts: Definitions) -> tuple[str, ...]:
    """Return what the parameter can refer to on this type: of `Patient, Group` for `patient` often only the first."""
    allowed = row.targets
    each = [_route_targets(route) for route in routes(row.expression, base, facts)] if row.type == "reference" else []
    if not all(each):
        return allowed
    return tuple(target for target in allowed if any(target in targets for targets in each)) or allowed


def _route_targets(route: Route) -> tuple[str, ...]:
    """Return what the element may refer to; nothing where it may be anything."""
    if route.target:
        return (route.target,)
    types = route.element.types if route.element else ()
    return next((of.targets for of in types if of.code == route.type), ())
