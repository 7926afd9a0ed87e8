"""The parts that the operations of the OpenAPI document share: parameters, headers, answers, bodies."""

from collections.abc import Iterable
from typing import Any

from fhir_server.api import formats
from fhir_server.api.openapi_schemas import Schema, ref

SEARCH_CONTROLS = {
    "_sort": "Keys to sort by, such as `-date,status`",
    "_count": "Most matches on a page",
    "_total": "`none`, `estimate` or `accurate`",
    "_include": "References to follow, such as `Observation:subject`",
    "_revinclude": "References to follow backwards, such as `Provenance:target`",
    "_summary": "`true`, `text`, `data`, `count` or `false`",
    "_elements": "Elements to return",
    "_contained": "`true`, `false` or `both`",
    "_containedType": "`container` or `contained`",
    "_has": "Reverse chain, written `_has:Observation:patient:code`",
    "_filter": "Filter expression",
    "_list": "Members of a List",
}
_QUERY = SEARCH_CONTROLS | {
    "_format": "Format of the answer, `json` or `xml`; goes before the Accept header",
    "_pretty": "`true` for an indented answer",
    "_since": "Only versions at or after this instant",
    "_at": "Only versions that were current at this time",
    "_type": "Types to search",
    "mode": "`full`, `normative` or `terminology`",
}
_HEADERS = {
    "If-Match": 'The version that the caller has seen, such as `W/"3"`',
    "If-None-Match": "Answer 304 where this version is still the current one",
    "If-Modified-Since": "Answer 304 where nothing changed since",
    "If-None-Exist": "Create only if a search with these parameters finds nothing",
    "Prefer": "`return=minimal`, `representation` or `OperationOutcome`; `handling=strict` or `lenient`",
}
_EMPTY = {204: "Done, and there is nothing to say", 304: "Not modified"}


def parameter(name: str, where: str, description: str) -> Schema:
    """Describe a parameter with text as its value."""
    return {"name": name, "in": where, "description": description, "schema": {"type": "string"}}


def use(*names: str) -> list[Schema]:
    """Point to parameters of the document."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


_RAW = ("application/fhir+ndjson", "application/zip", "text/html")
"""What operations answer with that give no resource: a whole type, a package of files, a page."""


def responses(type_: str, *statuses: int) -> Schema:
    """Describe the answers of an interaction that gives resources of a type; each refusal is an OperationOutcome."""
    found: Schema = {str(status): _answer(status, type_) for status in statuses}
    return found | {"4XX": _response("refused"), "5XX": _response("failed")}


def _answer(status: int, type_: str) -> Schema:
    if status in _EMPTY:
        return _response(str(status))
    return _response(f"{type_}-created" if status == 201 else type_)


def _response(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def answers(types: Iterable[str]) -> dict[str, Schema]:
    """Return the answers of the document, by the names that `responses` uses."""
    found = {str(status): {"description": text} for status, text in _EMPTY.items()}
    found["refused"] = _outcome("The request is refused; the outcome says why")
    found["failed"] = _outcome("The server cannot do this, now or ever; the outcome says why")
    found["operation"] = _operated()
    for type_ in types:
        found[type_] = _resource("Done", type_)
        found[f"{type_}-created"] = _resource("Created", type_, "Location")
    return found


def operated() -> Schema:
    """Describe the answers of an operation: a resource, or what some of them give instead."""
    return {"200": _response("operation"), "4XX": _response("refused"), "5XX": _response("failed")}


def _operated() -> Schema:
    found = _resource("Done", "Resource")
    raw = {name: {"schema": {"type": "string"}} for name in _RAW}
    return {**found, "content": {**found["content"], **raw}}


def _resource(description: str, type_: str, *headers: str) -> Schema:
    # A write may also be answered by an OperationOutcome (`Prefer: return=OperationOutcome`).
    one = ref(type_) if type_ == "OperationOutcome" else {"anyOf": [ref(type_), ref("OperationOutcome")]}
    named = ("ETag", "Last-Modified", "X-Request-Id", *headers)
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in named},
        "content": _offered(one),
    }


def _content(schema: Schema) -> Schema:
    return {formats.FHIR_JSON: {"schema": schema}, formats.FHIR_XML: {"schema": {"type": "string"}}}


def _offered(schema: Schema) -> Schema:
    """Describe an answer: who asks for a generic media type gets that name back."""
    return {name: {"schema": schema if kind == "json" else {"type": "string"}} for name, kind in formats.NAMES.items()}


def body(schema: Schema) -> Schema:
    """Describe a body that has to be a resource."""
    return {"required": True, "content": _content(schema)}


def _outcome(description: str) -> Schema:
    return {"description": description, "content": _offered(ref("OperationOutcome"))}


def _path(name: str, description: str, pattern: str) -> Schema:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _header(description: str) -> Schema:
    return {"description": description, "schema": {"type": "string"}}


COMPONENTS: dict[str, Any] = {
    "parameters": {
        **{name: parameter(name, "query", text) for name, text in _QUERY.items()},
        **{name: parameter(name, "header", text) for name, text in _HEADERS.items()},
        "id": _path("id", "Logical id", r"^[A-Za-z0-9\-.]{1,64}$"),
        "vid": _path("vid", "Version", r"^[A-Za-z0-9\-.]{1,64}$"),
        "member": _path("member", "Resource type, or `*`", r"^(\*|[A-Z][A-Za-z]+)$"),
    },
    "headers": {
        "ETag": _header("The version, as a weak tag"),
        "Last-Modified": _header("When this version was written"),
        "Location": _header("URL of the new version"),
        "X-Request-Id": _header("The id of this request in the server's log"),
    },
}
