"""Parameter: what one search parameter is on the types it is for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import parse
from fhir_server.search.extraction.routes import Lowering, NotLowerable, Routes

_ORDERED = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
COMPARATORS: Mapping[str, tuple[str, ...]] = {"number": _ORDERED, "date": _ORDERED, "quantity": _ORDERED}
MODIFIERS: Mapping[str, tuple[str, ...]] = {
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
    targets: the types that a reference may name; empty where it is none.
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


def routes(expression: str | None, base: str, facts: Definitions) -> Routes:
    """Return where an expression leads on a type; nothing where only the general engine could tell."""
    if expression is None:
        return ()
    try:
        return Lowering(facts.types, base, expression).routes(parse(expression))
    except NotLowerable:
        return ()


def ignores_case(kind: str, expression: str | None, base: str, facts: Definitions) -> bool:
    """Tell whether a parameter is a token on strings alone.

    Spec: https://hl7.org/fhir/R4/search.html#token
    """
    found = routes(expression, base, facts) if kind == "token" else ()
    return bool(found) and all(route.type in ("string", "markdown") for route in found)


def names_resources(parameter: Parameter, base: str, facts: Definitions) -> bool:
    """Tell whether a reference parameter leads to References, which includes follow; canonicals they do not."""
    if parameter.type != "reference":
        return False
    found = routes(parameter.expression, base, facts)
    return not found or any(route.type == "Reference" for route in found)


def concrete(base: str, facts: Definitions) -> Iterable[str]:
    """Return the resource types that inherit a base; `Binary`, `Bundle` and `Parameters` are no DomainResource."""
    if base == "Resource":
        return facts.resource_types
    if base == "DomainResource":
        return tuple(type_ for type_ in facts.resource_types if facts.types[type_].base == "DomainResource")
    return (base,) if base in facts.resource_types else ()
