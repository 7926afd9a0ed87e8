"""The search parameters of R4, from the definitions.

What their expressions lead to is kept in standard.json, for finding it out takes a fifth of a second at each start;
scripts/generate_standard.py makes it, and a test holds it to the expressions.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from zlib import crc32

import msgspec

from fhir_server.definitions import Definitions, SearchParameterDefinition
from fhir_server.search.extraction.routes import Route
from fhir_server.search.parameter import COMPARATORS, MODIFIERS, Component, Parameter, concrete, ignores_case, routes

_UNANSWERED = frozenset({"_query"})
"""Names an operation, finds nothing by itself: https://hl7.org/fhir/R4/search.html#query"""

_HL7 = "http://hl7.org/fhir/SearchParameter/"

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
    targets, of_strings = _led_to(row, base, facts)
    return Parameter(
        row.code, row.type, row.url, base, row.expression,
        targets=targets,
        components=tuple(Component(p.code, p.type, p.url, expression, p.targets) for p, expression in parts),
        multiple_or=row.multiple_or,
        multiple_and=row.multiple_and,
        modifiers=row.modifiers or MODIFIERS.get(row.type, ("missing",)),
        comparators=row.comparators or COMPARATORS.get(row.type, ()),
        ignores_case=of_strings,
    )  # fmt: skip


def _led_to(row: SearchParameterDefinition, base: str, facts: Definitions) -> tuple[tuple[str, ...], bool]:
    """Return the targets, and whether the case of tokens is ignored: as they are kept, or found out."""
    if row.type == "reference":
        kept = _kept().targets.get(_key(row, base))
        return (targets_of(row, base, facts) if kept is None else tuple(kept)), False
    if row.type == "token":
        known = _kept().ignores_case.get(_key(row, base))
        return row.targets, ignores_case(row.type, row.expression, base, facts) if known is None else known
    return row.targets, False


class _Kept(msgspec.Struct):
    targets: dict[str, Sequence[str]]
    ignores_case: dict[str, bool]


@cache
def _kept() -> _Kept:
    return msgspec.json.decode(files("fhir_server.search").joinpath("standard.json").read_bytes(), type=_Kept)


def _key(row: SearchParameterDefinition, base: str) -> str:
    sum_ = crc32((row.expression or "").encode())  # plugins may have definitions that say otherwise
    return f"{base} {row.url.removeprefix(_HL7)} {sum_:x}"


def found_out(facts: Definitions) -> Mapping[str, Mapping[str, object]]:
    """Return what is kept, from the expressions themselves."""
    pairs = [(row, base) for row in facts.search_parameters for base in row.base]
    references = {_key(row, base): targets_of(row, base, facts) for row, base in pairs if row.type == "reference"}
    tokens = {
        _key(row, base): ignores_case(row.type, row.expression, base, facts)
        for row, base in pairs
        if row.type == "token"
    }
    return {"targets": references, "ignores_case": tokens}


def targets_of(row: SearchParameterDefinition, base: str, facts: Definitions) -> tuple[str, ...]:
    """Return what the parameter can refer to on this type: of `Patient, Group` for `patient` often only the first."""
    allowed = row.targets
    each = [_route_targets(route) for route in routes(row.expression, base, facts)]
    if not all(each):
        return allowed
    return tuple(target for target in allowed if any(target in targets for targets in each)) or allowed


def _route_targets(route: Route) -> tuple[str, ...]:
    """Return what the element may refer to; nothing where it may be anything."""
    if route.target:
        return (route.target,)
    types = route.element.types if route.element else ()
    return next((of.targets for of in types if of.code == route.type), ())
