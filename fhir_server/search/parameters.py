"""Search parameters by resource type: those of R4 and those that were posted to the server."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from fhir_server import definitions
from fhir_server.definitions import SearchParameterDefinition
from fhir_server.fhirpath import FhirPathError, compile_expression, parse
from fhir_server.search.extraction.routes import Lowering, NotLowerable, Route, Routes

_FORMAT = "1"
"""Part of every registry's version: raise it when extraction itself changes what the same definitions give."""

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

_TYPES = frozenset({"number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"})
_ORDERED = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_COMPARATORS: Mapping[str, tuple[str, ...]] = {"number": _ORDERED, "date": _ORDERED, "quantity": _ORDERED}
_MODIFIERS: Mapping[str, tuple[str, ...]] = {
    "string": ("missing", "exact", "contains"),
    "token": ("missing", "text", "not", "in", "not-in", "above", "below", "of-type"),
    "reference": ("missing", "type", "identifier", "above", "below", "text"),
    "uri": ("missing", "above", "below"),
}


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite: `expression` is evaluated on each element that the composite's own expression gives."""

    code: str
    type: str
    url: str
    expression: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter as it stands on the types it is for.

    base_type: the type that defines it: `Observation`, or `Resource` and `DomainResource` for those of all.
    expression: FHIRPath; None for `_text`, `_content` and `_query`, which no element gives.
    targets: the types that a reference may name, sorted; empty where it is none.
    modifiers, comparators, chains: what the definition allows; where R4's own say nothing, what the specification
        gives to all parameters of the type. No `chains` means that every parameter of the targets may follow.
    ignores_case: a token on strings alone, which a search may ask for casefolded.

    Spec: https://hl7.org/fhir/R4/searchparameter.html
    """

    code: str
    type: str
    url: str
    base_type: str
    expression: str | None
    targets: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    multiple_or: bool = True
    multiple_and: bool = True
    modifiers: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    ignores_case: bool = False


_Table = Mapping[str, Mapping[str, Parameter]]


class ParameterRegistry:
    """Every active parameter of every resource type. Immutable: `with_custom` makes another."""

    __slots__ = ("_by_type", "_standard")

    def __init__(self, by_type: _Table, standard: _Table | None = None) -> None:
        self._by_type = {type_: MappingProxyType(dict(table)) for type_, table in by_type.items()}
        self._standard = standard or self._by_type

    @staticmethod
    def standard() -> "ParameterRegistry":
        """Return the parameters of R4, made once for each process."""
        return _standard()

    @property
    def types(self) -> tuple[str, ...]:
        """The resource types that have parameters: all with a REST endpoint."""
        return tuple(self._by_type)

    def get(self, type_: str, code: str) -> Parameter | None:
        """Return the parameter, those of all resources (`_id`, `_tag`) included; None if there is none."""
        return self.of(type_).get(code)

    def of(self, type_: str) -> Mapping[str, Parameter]:
        """Return all parameters of a type by code, sorted by code; none for a type that is not known."""
        return self._by_type.get(type_, MappingProxyType({}))

    def common(self, types: Iterable[str]) -> Mapping[str, Parameter]:
        """Return the parameters that all of the types share by code and type, as a search across types may use."""
        tables = [self.of(type_) for type_ in types] or [{}]
        first, *others = tables
        return {
            code: parameter
            for code, parameter in first.items()
            if all(code in table and table[code].type == parameter.type for table in others)
        }

    def with_custom(self, resources: Iterable[Mapping[str, Any]]) -> "ParameterRegistry":
        """Return the standard parameters and these SearchParameter resources (those given before are dropped).

        Only `active` ones count. A parameter of the specification stays what it is: compartments and restrictions
        stand on it, so a custom one of the same code and type has no effect there. Of two custom ones of the same
        code the one whose URL sorts last wins.

        Raises:
            ValueError: a definition cannot work; the message says which and, for an expression, where in it.
        """
        table = {type_: dict(parameters) for type_, parameters in self._standard.items()}
        for resource in sorted(resources, key=lambda r: str(r.get("url"))):
            if resource.get("status") == "active":
                self._add(table, resource)
        return ParameterRegistry({t: dict(sorted(p.items())) for t, p in table.items()}, self._standard)

    def check(self, resource: Mapping[str, Any]) -> None:
        """Check one SearchParameter resource, whatever its status.

        Raises:
            ValueError: as `with_custom`.
        """
        read_parameters(resource, self._components())

    @property
    def version(self) -> str:
        """A hash of all that extraction depends on: index rows made under another version are stale."""
        return _hash(f"{type_} {self.version_of(type_)}" for type_ in self._by_type)

    def version_of(self, type_: str) -> str:
        """Return the same for the rows of one type, so that only types that changed are indexed again."""
        relevant = (
            (p.code, p.type, p.expression, p.targets, tuple((c.type, c.expression) for c in p.components))
            for _, p in sorted(self.of(type_).items())
        )
        return _hash([_FORMAT, *map(repr, relevant)])

    def _add(self, table: dict[str, dict[str, Parameter]], resource: Mapping[str, Any]) -> None:
        for base, parameter in read_parameters(resource, self._components()):
            for type_ in _concrete(base, table):
                if parameter.code not in self._standard[type_]:
                    table[type_][parameter.code] = parameter

    def _components(self) -> Mapping[str, Parameter]:
        return {p.url: p for table in self._by_type.values() for p in table.values()}


def read_parameters(resource: Mapping[str, Any], known: Mapping[str, Parameter]) -> tuple[tuple[str, Parameter], ...]:
    """Read a SearchParameter resource: its parameter for each type of `base`. `known` are parameters by URL.

    Raises:
        ValueError: a field is missing or wrong, or the expression is not FHIRPath.
    """
    name = resource.get("url") or resource.get("id") or "SearchParameter"
    code, kind, bases = resource.get("code"), resource.get("type"), resource.get("base")
    if not isinstance(code, str) or not isinstance(bases, list) or not bases or kind not in _TYPES:
        raise ValueError(f"{name}: a search parameter needs code, base and type")
    expression = resource.get("expression")
    if not isinstance(expression, str):
        raise ValueError(f"{name}: a search parameter without an expression finds nothing")
    for base in _check_bases(name, bases):
        check_expression(name, base, expression)
    parameter = Parameter(
        code, kind, str(resource.get("url")), "", expression,
        targets=tuple(sorted(resource.get("target", ()))),
        components=_read_components(name, kind, resource, known),
        multiple_or=bool(resource.get("multipleOr", True)),
        multiple_and=bool(resource.get("multipleAnd", True)),
        modifiers=tuple(resource.get("modifier", ())) or _MODIFIERS.get(kind, ("missing",)),
        comparators=tuple(resource.get("comparator", ())) or _COMPARATORS.get(kind, ()),
        chains=tuple(resource.get("chain", ())),
    )  # fmt: skip
    return tuple(
        (base, replace(parameter, base_type=base, ignores_case=_ignores_case(kind, expression, base))) for base in bases
    )


def _check_bases(name: str, bases: list[Any]) -> list[str]:
    types = definitions.load().types
    for base in bases:
        if base not in types or types[base].kind != "resource":
            raise ValueError(f"{name}: there is no resource type {base!r}")
    return bases


def check_expression(name: str, base: str, expression: str) -> None:
    """Check that an expression can work on a type.

    Raises:
        ValueError: it cannot be parsed or names a function, type or element that does not exist; says where.
    """
    try:
        tree = compile_expression(expression).tree
        Lowering(definitions.load().types, base, expression).routes(tree)
    except NotLowerable:
        return
    except FhirPathError as fault:
        raise ValueError(f"{name}: {fault} in {expression!r}") from fault


def _read_components(
    name: str, kind: str, resource: Mapping[str, Any], known: Mapping[str, Parameter]
) -> tuple[Component, ...]:
    rows = resource.get("component", ())
    if kind == "composite" and len(rows) < 2:
        raise ValueError(f"{name}: a composite has two components or more")
    return tuple(_read_component(name, row, known) for row in rows)


def _read_component(name: str, row: Mapping[str, Any], known: Mapping[str, Parameter]) -> Component:
    url = str(row.get("definition")).partition("|")[0]
    expression = str(row.get("expression"))
    try:
        compile_expression(expression)
    except FhirPathError as fault:
        raise ValueError(f"{name}: {fault} in {expression!r}") from fault
    if url not in known:
        raise ValueError(f"{name}: component {url!r} is no search parameter of this server")
    part = known[url]
    return Component(part.code, part.type, url, expression, part.targets)


@cache
def _standard() -> ParameterRegistry:
    facts = definitions.load()
    by_url = {row.url: row for row in facts.search_parameters}
    table: dict[str, dict[str, Parameter]] = {type_: {} for type_ in facts.resource_types}
    # Those of Resource first: a type's own parameter of the same code comes before them.
    for row in sorted(facts.search_parameters, key=lambda r: (r.base[0] not in ("Resource", "DomainResource"), r.url)):
        if row.code in _UNANSWERED:
            continue
        for base in row.base:
            parameter = _of_definition(row, base, by_url)
            for type_ in _concrete(base, table):
                table[type_][row.code] = parameter
    return ParameterRegistry({type_: dict(sorted(rows.items())) for type_, rows in table.items()})


def _of_definition(
    row: SearchParameterDefinition, base: str, by_url: Mapping[str, SearchParameterDefinition]
) -> Parameter:
    expressions = _ERRATA.get(row.url) or tuple(expression for _, expression in row.components)
    parts = [(by_url[url], expression) for (url, _), expression in zip(row.components, expressions, strict=True)]
    return Parameter(
        row.code, row.type, row.url, base, row.expression,
        targets=_targets(row, base),
        components=tuple(Component(p.code, p.type, p.url, expression, p.targets) for p, expression in parts),
        multiple_or=row.multiple_or,
        multiple_and=row.multiple_and,
        modifiers=row.modifiers or _MODIFIERS.get(row.type, ("missing",)),
        comparators=row.comparators or _COMPARATORS.get(row.type, ()),
        ignores_case=_ignores_case(row.type, row.expression, base),
    )  # fmt: skip


def _routes(expression: str | None, base: str) -> Routes:
    """Return where an expression leads on a type; nothing where only the general engine could tell."""
    if expression is None:
        return ()
    try:
        return Lowering(definitions.load().types, base, expression).routes(parse(expression))
    except NotLowerable:
        return ()


def _ignores_case(kind: str, expression: str | None, base: str) -> bool:
    """Spec: https://hl7.org/fhir/R4/search.html#token"""
    routes = _routes(expression, base) if kind == "token" else ()
    return bool(routes) and all(route.type in ("string", "markdown") for route in routes)


def _targets(row: SearchParameterDefinition, base: str) -> tuple[str, ...]:
    """Return what the parameter can refer to on this type: of `Patient, Group` for `patient` often only the first."""
    allowed = tuple(sorted(row.targets))
    each = [_route_targets(route) for route in _routes(row.expression, base)] if row.type == "reference" else []
    if not all(each):
        return allowed
    return tuple(target for target in allowed if any(target in targets for targets in each)) or allowed


def _route_targets(route: Route) -> tuple[str, ...]:
    """Return what the element may refer to; nothing where it may be anything."""
    if route.target:
        return (route.target,)
    types = route.element.types if route.element else ()
    return next((of.targets for of in types if of.code == route.type), ())


def _concrete(base: str, types: Iterable[str]) -> Iterable[str]:
    """Return the resource types that inherit a base; `Binary`, `Bundle` and `Parameters` are no DomainResource."""
    if base == "Resource":
        return tuple(types)
    if base == "DomainResource":
        facts = definitions.load()
        return tuple(type_ for type_ in types if facts.types[type_].base == "DomainResource")
    return (base,) if base in types else ()


def _hash(parts: Iterable[str]) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
