"""Facts of R4, which are kept without the texts of the specification, as the conformance resources that they are of.

Spec: https://hl7.org/fhir/R4/conformance-module.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.definitions import Definitions, OperationFacts
from fhir_server.definitions.model import OperationParameter, SearchParameterDefinition
from fhir_server.search.parameters import Parameter, ParameterRegistry

Json = Mapping[str, Any]
_COMPARTMENTS = "http://hl7.org/fhir/CompartmentDefinition/"
_FOCUS = "_id"
_NO_ID = re.compile(r"[^A-Za-z0-9\-.]+")
_MODIFIERS = {"of-type": "ofType"}
"""As https://hl7.org/fhir/R4/codesystem-search-modifier-code.html spells them."""


def operation_definition(facts: OperationFacts) -> Json:
    """Return the OperationDefinition of an operation.

    Spec: https://hl7.org/fhir/R4/operationdefinition.html
    """
    if facts.definition is not None:
        given = _without_empty(facts.definition)
        return {**given, "id": given.get("id") or _id_of(facts.url)}
    return _head("OperationDefinition", facts.url, facts.name) | {
        "kind": "operation",
        "affectsState": facts.affects_state,
        "code": facts.code,
        "resource": list(facts.resources) or ["Resource"],
        "system": facts.system,
        "type": facts.type_level,
        "instance": facts.instance,
        **_some("parameter", map(_operation_parameter, facts.parameters)),
    }


def _operation_parameter(parameter: OperationParameter) -> Json:
    return {
        "name": parameter.name,
        "use": parameter.use,
        "min": parameter.min,
        "max": "*" if parameter.max is None else str(parameter.max),
        **({"type": parameter.type} if parameter.type else {}),
        **_some("targetProfile", (f"http://hl7.org/fhir/StructureDefinition/{each}" for each in parameter.targets)),
        **({"searchType": parameter.search_type} if parameter.search_type else {}),
        **_some("part", map(_operation_parameter, parameter.parts)),
    }


def search_parameters(definitions: Definitions) -> Iterator[Json]:
    """Yield the SearchParameters of R4.

    Spec: https://hl7.org/fhir/R4/searchparameter.html
    """
    yield from map(_of_row, definitions.search_parameters)


def other_parameters(definitions: Definitions, registry: ParameterRegistry) -> Iterator[Json]:
    """Yield the SearchParameters that are in force beside those of R4."""
    known = {row.url for row in definitions.search_parameters}
    bases: dict[str, tuple[Parameter, list[str]]] = {}
    for type_ in registry.types:
        for parameter in registry.of(type_).values():
            if parameter.url not in known:
                bases.setdefault(parameter.url, (parameter, []))[1].append(type_)
    for parameter, types in bases.values():
        yield _of_parameter(parameter, types)


def _of_row(row: SearchParameterDefinition) -> Json:
    components = ({"definition": url, "expression": expression} for url, expression in row.components)
    return _searched(row, row.name, row.base) | _some("component", components)


def _of_parameter(parameter: Parameter, types: list[str]) -> Json:
    components = ({"definition": each.url, "expression": each.expression} for each in parameter.components)
    return _searched(parameter, parameter.code, types) | _some("component", components)


def _searched(found: SearchParameterDefinition | Parameter, name: str, base: Sequence[str]) -> dict[str, Any]:
    return _head("SearchParameter", found.url, name) | {
        "description": f"{found.code} of {', '.join(base)}",
        "code": found.code,
        "base": list(base),
        "type": found.type,
        **({"expression": found.expression} if found.expression else {}),
        **_some("target", found.targets),
        "multipleOr": found.multiple_or,
        "multipleAnd": found.multiple_and,
        **_some("comparator", found.comparators),
        **_some("modifier", (_MODIFIERS.get(each, each) for each in found.modifiers)),
    }


def compartment_definitions(definitions: Definitions) -> Iterator[Json]:
    """Yield the CompartmentDefinitions; types without parameters are in none, and `_id` is what the compartment is of.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    for code, members in definitions.compartments.items():
        rows = ((type_, [each for each in members.get(type_, ()) if each != _FOCUS]) for type_ in sorted(members))
        yield _head(
            "CompartmentDefinition", _COMPARTMENTS + code.lower(), f"Base FHIR compartment definition for {code}"
        ) | {
            "code": code,
            "search": True,
            "resource": [{"code": type_, **_some("param", codes)} for type_, codes in rows],
        }


def _id_of(url: str) -> str:
    """Return the last part of a URL, which R4's own definitions have as their id, as far as it is one."""
    return _NO_ID.sub("-", url.rpartition("/")[2])[-64:].strip("-")


def _without_empty(value: Any) -> Any:
    """Return a definition as JSON of FHIR may be, without empty texts and lists."""
    if isinstance(value, Mapping):
        return {name: _without_empty(item) for name, item in value.items() if item not in ("", [], ())}
    return [_without_empty(item) for item in value] if isinstance(value, list | tuple) else value


def _head(type_: str, url: str, name: str) -> dict[str, Any]:
    about = {"url": url, "version": "4.0.1", "name": name, "status": "active"}
    return {"resourceType": type_, "id": _id_of(url), **about}


def _some(name: str, values: Iterable[Any]) -> dict[str, list[Any]]:
    found = list(values)
    return {name: found} if found else {}
