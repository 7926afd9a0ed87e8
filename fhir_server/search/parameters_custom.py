"""Custom search parameters: SearchParameter resources that were posted to the server.

Spec: https://hl7.org/fhir/R4/searchparameter.html
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import FhirPathError, compile_expression
from fhir_server.search.extraction.routes import Lowering, NotLowerable, Routes
from fhir_server.search.parameter import COMPARATORS, MODIFIERS, Component, Parameter, ignores_case
from fhir_server.search.typed_choices import with_types

_TYPES = frozenset({"number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"})


class CustomReader:
    """Reads SearchParameter resources; `known` are the parameters by URL that composites may build on."""

    def __init__(self, facts: Definitions, known: Mapping[str, Parameter]) -> None:
        self._facts = facts
        self._known = known

    def read(self, resource: Mapping[str, Any]) -> tuple[tuple[str, Parameter], ...]:
        """Return the parameter for each type of `base`.

        Raises:
            ValueError: a field is missing or wrong, or an expression cannot work; says which, and where in it.
        """
        name = str(resource.get("url") or resource.get("id") or "SearchParameter")
        code, kind, bases = resource.get("code"), resource.get("type"), resource.get("base")
        if not isinstance(code, str) or not isinstance(bases, list) or not bases or kind not in _TYPES:
            raise ValueError(f"{name}: a search parameter needs code, base and type")
        expression = resource.get("expression")
        if not isinstance(expression, str):
            raise ValueError(f"{name}: a search parameter without an expression finds nothing")
        self._check_bases(name, bases)
        expression = with_types(expression, bases, self._facts)
        found = [self._routes(name, base, expression) for base in bases]
        starts = {route.type for routes in found for route in routes}
        components = self._components(name, resource, starts) if kind == "composite" else ()
        parameter = replace(_parameter(resource, components), expression=expression)
        return tuple((base, self._on(parameter, base)) for base in bases)

    def _on(self, parameter: Parameter, base: str) -> Parameter:
        case = ignores_case(parameter.type, parameter.expression, base, self._facts)
        return replace(parameter, base_type=base, ignores_case=case)

    def _check_bases(self, name: str, bases: list[Any]) -> None:
        types = self._facts.types
        for base in bases:
            if base not in types or types[base].kind != "resource":
                raise ValueError(f"{name}: there is no resource type {base!r}")

    def _routes(self, name: str, start: str, expression: str) -> Routes:
        """Return where an expression leads from a type; nothing where only the general engine could tell."""
        try:
            tree = compile_expression(expression).tree
            return Lowering(self._facts.types, start, expression).routes(tree)
        except NotLowerable:
            return ()
        except FhirPathError as fault:
            raise ValueError(f"{name}: {fault} in {expression!r}") from fault

    def _components(self, name: str, resource: Mapping[str, Any], starts: set[str]) -> tuple[Component, ...]:
        rows = resource.get("component", ())
        if len(rows) < 2:
            raise ValueError(f"{name}: a composite has two components or more")
        return tuple(self._component(name, row, starts) for row in rows)

    def _component(self, name: str, row: Mapping[str, Any], starts: set[str]) -> Component:
        url = str(row.get("definition")).partition("|")[0]
        expression = with_types(str(row.get("expression")), (), self._facts)
        for start in starts:
            self._routes(name, start, expression)
        part = self._known.get(url)
        if part is None:
            raise ValueError(f"{name}: component {url!r} is no search parameter of this server")
        return Component(part.code, part.type, url, expression, part.targets)


def _parameter(resource: Mapping[str, Any], components: tuple[Component, ...]) -> Parameter:
    kind = resource["type"]
    return Parameter(
        resource["code"], kind, str(resource.get("url")), "", resource["expression"],
        targets=tuple(resource.get("target", ())),
        components=components,
        multiple_or=bool(resource.get("multipleOr", True)),
        multiple_and=bool(resource.get("multipleAnd", True)),
        modifiers=tuple(resource.get("modifier", ())) or MODIFIERS.get(kind, ("missing",)),
        comparators=tuple(resource.get("comparator", ())) or COMPARATORS.get(kind, ()),
        chains=tuple(resource.get("chain", ())),
    )  # fmt: skip
