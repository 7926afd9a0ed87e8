"""`$convert`: a resource from one format into another; JSON and XML are read and written by the edge.

Spec: https://hl7.org/fhir/R4/resource-operation-convert.html
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.plugin_api import BadRequest, Call, FhirError, FhirResponse, PluginContext, decode, encode

NDJSON: Final = ("application/fhir+ndjson", "application/ndjson", "application/x-ndjson", "ndjson")
_ANY: Final = ("*/*", "application/*")


class NoSuchFormat(FhirError):
    """None of the formats that are asked for."""

    status, code = 406, "not-supported"


async def convert(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer a call.

    Raises:
        BadRequest: a line of NDJSON is no resource; says which.
        NoSuchFormat: what is asked for is neither JSON nor XML nor NDJSON.
    """
    given = call.inputs.one("input")
    if given.get("resourceType") == "Binary" and _name(given.get("contentType", "")) in NDJSON:
        given = _collection(b64decode(given.get("data", "")))
    names = _wanted(call)
    if any(name in NDJSON for name in names):
        return FhirResponse(200, (b"".join(_lines(given)),), media_type=NDJSON[0])
    if names and not any("json" in name or "xml" in name or name in _ANY for name in names):
        raise NoSuchFormat("$convert answers in JSON, XML and NDJSON", expression="http.Accept")
    return FhirResponse(200, (encode(given),))


def _wanted(call: Call) -> list[str]:
    """Return the names of the formats that will do."""
    wanted = call.request.parameter("_format") or call.request.headers.get("accept", "")
    # a plus sign that was not escaped in the URL arrives as a space
    return [_name(part).replace(" ", "+") for part in wanted.split(",") if part.strip()]


def _name(media: str) -> str:
    return media.partition(";")[0].strip().lower()


def _lines(resource: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the resources of a Bundle, or the resource itself."""
    inside = [entry["resource"] for entry in resource.get("entry", []) if "resource" in entry]
    for each in inside if resource.get("resourceType") == "Bundle" else [resource]:
        yield encode(each) + b"\n"


def _collection(raw: bytes) -> dict[str, Any]:
    """Return NDJSON as a Bundle of type collection. Raises BadRequest with the number of the line."""
    entries = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            resource = decode(line.strip())
        except ValueError as error:
            raise BadRequest(f"line {number}: {error}", expression="http.body") from None
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise BadRequest(f"line {number} is no resource", expression="http.body")
        entries.append({"resource": resource})
    return {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}
