"""The OpenAPI document of the FHIR endpoint: every interaction on every resource type.

Spec: https://hl7.org/fhir/R4/http.html, https://spec.openapis.org/oas/v3.1.0
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.api import formats
from fhir_server.api.openapi_parts import (
    COMPONENTS,
    SEARCH_CONTROLS,
    answers,
    body,
    operated,
    parameter,
    responses,
    use,
)
from fhir_server.api.openapi_schemas import Schema, ref, schemas
from fhir_server.definitions import Definitions, OperationFacts, SearchParameterDefinition

Paths = dict[str, dict[str, Any]]

_READ = use("_format", "_pretty")
_WRITE = (*_READ, *use("Prefer"))
_PAGE = use("_count")
_HISTORY = (*_READ, *_PAGE, *use("_since", "_at"))
_CONTROLS = use(*SEARCH_CONTROLS)
_HIDDEN = frozenset(("_query",))
_PATCHES = {
    formats.JSON_PATCH: {"type": "array", "items": {"type": "object"}},
    formats.XML_PATCH: {"type": "string"},
    formats.FHIR_JSON: ref("Parameters"),
    formats.FHIR_XML: {"type": "string"},
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the document is made from: the facts, and the operations that are registered."""

    definitions: Definitions
    operations: tuple[OperationFacts, ...] = ()


def document(shown: Shown, pages: Mapping[str, Any], mount: str = "/fhir") -> dict[str, Any]:
    """Return the document; `pages` is FastAPI's own, of the routes beside FHIR."""
    definitions = shown.definitions
    paths: Paths = dict(pages.get("paths", {}))
    paths |= _system(shown, mount)
    for type_ in definitions.resource_types:
        paths |= _type(shown, mount, type_)
    for type_ in definitions.compartments:
        paths |= _compartment(mount, type_)
    components = pages.get("components", {})
    return {
        **pages,
        "tags": [{"name": name} for name in ("system", *definitions.resource_types)],
        "paths": paths,
        "components": {
            **COMPONENTS,
            "parameters": COMPONENTS["parameters"] | _all_criteria(definitions),
            "responses": answers((*definitions.resource_types, "Parameters", "Resource")),
            "schemas": {**components.get("schemas", {}), **schemas(definitions)},
        },
    }


def _system(shown: Shown, mount: str) -> Paths:
    bundle = ref("Bundle")
    search = (*_READ, *_CONTROLS, *use("_type"))
    paths: Paths = {
        mount: {
            "get": _operation("system", "searchSystem", "Search across types", search, responses("Bundle", 200)),
            "post": {
                **_operation("system", "batch", "Batch or transaction", _WRITE, responses("Bundle", 200)),
                "requestBody": body(bundle),
            },
        },
        f"{mount}/_search": {
            "post": {
                **_operation("system", "searchSystemByPost", "Search across types", _READ, responses("Bundle", 200)),
                "requestBody": _form(),
            }
        },
        f"{mount}/_history": {
            "get": _operation(
                "system", "historySystem", "All versions of all resources", _HISTORY, responses("Bundle", 200)
            )
        },
        f"{mount}/metadata": {
            "get": _operation(
                "system",
                "capabilities",
                "What the server can do",
                (*_READ, *use("mode")),
                responses("Resource", 200, 304),
            )
        },
    }
    return paths | _operations(shown, mount, "system", None)


def _type(shown: Shown, mount: str, type_: str) -> Paths:
    return {
        f"{mount}/{type_}": _collection(shown, type_),
        f"{mount}/{type_}/_search": {
            "post": {
                **_operation(type_, f"searchByPost{type_}", f"Search {type_}", _READ, responses("Bundle", 200)),
                "requestBody": _form(),
            }
        },
        f"{mount}/{type_}/_history": {
            "get": _operation(type_, f"historyType{type_}", "All versions", _HISTORY, responses("Bundle", 200))
        },
        f"{mount}/{type_}/{{id}}": _instance(type_),
        f"{mount}/{type_}/{{id}}/_history": {
            "parameters": use("id"),
            "get": _operation(type_, f"historyInstance{type_}", "Its versions", _HISTORY, responses("Bundle", 200)),
        },
        f"{mount}/{type_}/{{id}}/_history/{{vid}}": {
            "parameters": use("id", "vid"),
            "get": _operation(type_, f"vread{type_}", "Read a version", _READ, responses(type_, 200, 304)),
        },
        **_operations(shown, mount, type_, type_),
    }


def _collection(shown: Shown, type_: str) -> dict[str, Any]:
    """Search, create and the conditional interactions."""
    criteria = _criteria(shown.definitions, type_)
    return {
        "get": _operation(
            type_, f"search{type_}", f"Search {type_}", (*criteria, *_CONTROLS, *_READ), responses("Bundle", 200)
        ),
        "post": {
            **_operation(
                type_,
                f"create{type_}",
                f"Create a {type_}",
                (*_WRITE, *use("If-None-Exist")),
                responses(type_, 200, 201),
            ),
            "requestBody": body(ref(type_)),
        },
        "put": {
            **_operation(
                type_,
                f"conditionalUpdate{type_}",
                "Update what the criteria find, or create it",
                (*criteria, *_WRITE, *use("If-Match")),
                responses(type_, 200, 201),
            ),
            "requestBody": body(ref(type_)),
        },
        "patch": {
            **_operation(
                type_,
                f"conditionalPatch{type_}",
                "Patch what the criteria find",
                (*criteria, *_WRITE, *use("If-Match")),
                responses(type_, 200),
            ),
            "requestBody": _patch(),
        },
        "delete": _operation(
            type_,
            f"conditionalDelete{type_}",
            "Delete what the criteria find",
            (*criteria, *_READ),
            responses("OperationOutcome", 200, 204),
        ),
    }


def _instance(type_: str) -> dict[str, Any]:
    return {
        "parameters": use("id"),
        "get": _operation(
            type_,
            f"read{type_}",
            f"Read a {type_}",
            (*_READ, *use("_summary", "_elements", "If-None-Match", "If-Modified-Since")),
            responses(type_, 200, 304),
        ),
        "put": {
            **_operation(
                type_,
                f"update{type_}",
                f"Update or create a {type_}",
                (*_WRITE, *use("If-Match")),
                responses(type_, 200, 201),
            ),
            "requestBody": body(ref(type_)),
        },
        "patch": {
            **_operation(
                type_,
                f"patch{type_}",
                f"Patch a {type_}",
                (*_WRITE, *use("If-Match")),
                responses(type_, 200),
            ),
            "requestBody": _patch(),
        },
        "delete": _operation(
            type_,
            f"delete{type_}",
            f"Delete a {type_}",
            (*_READ, *use("If-Match")),
            responses("OperationOutcome", 200, 204),
        ),
    }


def _compartment(mount: str, type_: str) -> Paths:
    return {
        f"{mount}/{type_}/{{id}}/{{member}}": {
            "parameters": use("id", "member"),
            "get": _operation(
                type_,
                f"searchCompartment{type_}",
                f"Search what belongs to a {type_}; `*` for all types",
                (*_READ, *_CONTROLS),
                responses("Bundle", 200),
            ),
        }
    }


def _operations(shown: Shown, mount: str, tag: str, type_: str | None) -> Paths:
    paths: Paths = {}
    for facts in shown.operations:
        on_type = type_ is not None and (type_ in facts.resources or "Resource" in facts.resources)
        if type_ is None and facts.system:
            paths[f"{mount}/${facts.code}"] = _invocations(facts, tag, f"system_{facts.code}")
        if on_type and facts.type_level:
            paths[f"{mount}/{type_}/${facts.code}"] = _invocations(facts, tag, f"type_{type_}_{facts.code}")
        if on_type and facts.instance:
            called = _invocations(facts, tag, f"instance_{type_}_{facts.code}")
            paths[f"{mount}/{type_}/{{id}}/${facts.code}"] = {"parameters": use("id"), **called}
    return paths


def _invocations(facts: OperationFacts, tag: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "post": {
            **_operation(tag, f"post_{name}", facts.name, _READ, operated()),
            "requestBody": {**body(ref("Parameters")), "required": False},
        }
    }
    if not facts.affects_state:
        given = [
            parameter(p.name, "query", p.type or "parameters")
            for p in facts.parameters
            if p.use == "in" and not p.parts
        ]
        found["get"] = _operation(tag, f"get_{name}", facts.name, (*_READ, *given), operated())
    return found


def _operation(tag: str, name: str, summary: str, parameters: Iterable[Schema], answers: Schema) -> dict[str, Any]:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": answers,
    }


def _criteria(definitions: Definitions, type_: str) -> list[Schema]:
    return use(*(f"{type_}.{p.code}" for p in _search_parameters(definitions, type_)))


def _search_parameters(definitions: Definitions, type_: str) -> list[SearchParameterDefinition]:
    bases = {type_, "Resource", "DomainResource"}
    found = (p for p in definitions.search_parameters if bases & set(p.base) and p.code not in _HIDDEN)
    return sorted(found, key=lambda p: p.code)


def _all_criteria(definitions: Definitions) -> dict[str, Schema]:
    return {
        f"{type_}.{p.code}": parameter(p.code, "query", f"{p.type} search parameter; modifiers and chains as in FHIR")
        for type_ in definitions.resource_types
        for p in _search_parameters(definitions, type_)
    }


def _form() -> dict[str, Any]:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    return {"required": False, "content": {formats.FORM: {"schema": schema}}}


def _patch() -> dict[str, Any]:
    return {"required": True, "content": {name: {"schema": schema} for name, schema in _PATCHES.items()}}
