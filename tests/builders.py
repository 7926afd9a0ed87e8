"""Small resources and Bundles, so that a test shows what it is about."""

import json
from base64 import b64encode
from typing import Any

Json = dict[str, Any]


def patient(id_: str | None = None, **elements: Any) -> Json:
    """A Patient; an identifier may be given as plain text."""
    return resource("Patient", id_, **elements)


def observation(id_: str | None = None, *, subject: str | None = None, **elements: Any) -> Json:
    """A final Observation of something, for a subject given by its reference."""
    about = {"subject": {"reference": subject}} if subject else {}
    return resource("Observation", id_, **{"status": "final", "code": {"text": "something"}, **about, **elements})


def resource(type_: str, id_: str | None = None, **elements: Any) -> Json:
    """Any resource."""
    identity = {"id": id_} if id_ is not None else {}
    return {"resourceType": type_, **identity, **elements}


def identifier(value: str, system: str = "urn:test") -> list[Json]:
    """A list of one Identifier."""
    return [{"system": system, "value": value}]


def entry(method: str, url: str, body: Json | None = None, full_url: str | None = None, **request: str) -> Json:
    """An entry of a batch or transaction; further words go to its `request` (ifMatch, ifNoneExist)."""
    made: Json = {"request": {"method": method, "url": url, **request}}
    if full_url is not None:
        made["fullUrl"] = full_url
    if body is not None:
        made["resource"] = body
    return made


def bundle(type_: str, *entries: Json) -> Json:
    """A Bundle of requests."""
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def json_patch(*operations: Json) -> Json:
    """A JSON Patch as the Binary that an entry of a Bundle holds."""
    data = b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def search_parameter(code: str, base: str, type_: str, expression: str, **elements: Any) -> Json:
    """An active SearchParameter."""
    return {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/SearchParameter/{code}",
        "name": code.replace("-", "_"),
        "status": "active",
        "description": f"finds {base} by {code}",
        "code": code,
        "base": [base],
        "type": type_,
        "expression": expression,
        **elements,
    }
