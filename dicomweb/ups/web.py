"""Payloads and answers of the worklist services, in DICOM JSON and XML.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_8.7.3.2.html
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.ups.states import WorkitemRefused
from dicomweb.worklist.commitments import CommitmentRefused
from dicomweb.worklist.steps import StepRefused
from fhir_server.plugin_api import BadRequest, PluginContext, RouteRequest, RouteResponse, decode, encode

JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"
_READ: Final = (JSON, "application/json", "")
_READ_XML: Final = (XML, "application/xml", "text/xml")
_ANY: Final = ("*/*", "application/*", JSON, "application/json")
_PAGING: Final = frozenset(("limit", "offset", "includefield", "fuzzymatching", "accept", "charset", "deletionlock"))

Handler = Callable[[PluginContext, RouteRequest], Awaitable[RouteResponse]]


def answering(handler: Handler) -> Handler:
    """Return a handler whose refusals are answers with a Warning, as these services say it."""

    async def handle(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
        try:
            kind = _wanted(asked)
            if not kind:
                return _refusal(asked, 406, f"the answer is {JSON} or {XML}")
            answer = await handler(ctx, asked)
            return _as_xml(answer) if kind == XML and answer.media_type == JSON else answer
        except (WorkitemRefused, StepRefused) as error:
            return _refusal(asked, error.http, str(error))
        except CommitmentRefused as error:
            return _refusal(asked, 400, str(error))

    return handle


def _wanted(asked: RouteRequest) -> str:
    """Return the first media type of Accept that we have; empty: none of them."""
    accept = asked.headers.get("accept", "")
    for each in accept.split(","):
        name, _, parameters = each.partition(";")
        name = name.strip().lower()
        if name == XML or (name == "multipart/related" and XML in parameters.lower()):
            return XML
        if name in _ANY or name == "multipart/related":
            return JSON
    return "" if accept.strip() else JSON


def _as_xml(answer: RouteResponse) -> RouteResponse:
    """Return the same as XML: one data set as a document, several as parts."""
    from dicomweb.wado.native_xml import to_xml  # pydicom, which no start waits for

    assert isinstance(answer.body, bytes)
    found: list[DicomJson] = decode(answer.body)
    if len(found) == 1:
        return RouteResponse(answer.status, to_xml(found[0]), XML, answer.headers)
    boundary = uuid.uuid4().hex
    parts = [f"--{boundary}\r\nContent-Type: {XML}\r\n\r\n".encode() + to_xml(each) + b"\r\n" for each in found]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return RouteResponse(answer.status, body, f'multipart/related; type="{XML}"; boundary={boundary}', answer.headers)


def _refusal(asked: RouteRequest, status: int, said: str) -> RouteResponse:
    body = encode({"error": said})
    return RouteResponse(status, body, "application/json", {"Warning": warning(asked, said)})


def warning(asked: RouteRequest, said: str) -> str:
    """Return the value of a Warning header."""
    return f"299 {asked.root or '-'}: {said}"


async def payload(asked: RouteRequest) -> DicomJson:
    """Return the data set of a request; empty: it has none. Raises WorkitemRefused: it is none."""
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = await asked.body()
    if not raw.strip():
        return {}
    if kind in _READ_XML:
        from dicomweb.wado.native_xml import from_xml  # as above

        return from_xml(raw)
    if kind not in _READ:
        raise WorkitemRefused(0x0110, 415, f"the data set is sent as {JSON} or {XML}")
    try:
        found: Any = decode(raw)
    except ValueError as error:
        raise WorkitemRefused(0x0110, 400, f"the body is no JSON: {error}") from error
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict):
        raise WorkitemRefused(0x0110, 400, "the body is one data set")
    return found


def rows(found: Sequence[DicomJson], headers: Mapping[str, str] | None = None) -> RouteResponse:
    """Return an answer of data sets."""
    return RouteResponse(200, encode(list(found)), JSON, dict(headers or {}))


def done(status: int = 200, headers: Mapping[str, str] | None = None) -> RouteResponse:
    """Return an answer without a body."""
    return RouteResponse(status, b"", "", dict(headers or {}))


def keys_of(query: Sequence[tuple[str, str]]) -> tuple[DicomJson, tuple[str, ...]]:
    """Return what is matched, as an identifier, and which elements are wanted beside it. Raises BadRequest."""
    keys: DicomJson = {}
    wanted: list[str] = []
    for name, value in query:
        if name == "includefield":
            wanted += ["all" if each == "all" else _path(each)[0] for each in value.split(",") if each]
        elif name not in _PAGING:
            _put(keys, _path(name), value)
    return keys, tuple(wanted)


def _put(keys: DicomJson, path: Sequence[str], value: str) -> None:
    place = keys
    for tag in path[:-1]:
        items = place.setdefault(tag, {"vr": "SQ", "Value": [{}]})
        place = items["Value"][0]
    vr = vr_of(path[-1])
    separator = "\\" if vr != "UI" or "," not in value else ","
    values: list[Any] = [{"Alphabetic": each} if vr == "PN" else each for each in value.split(separator) if each]
    place[path[-1]] = {"vr": vr, "Value": values} if values else {"vr": vr}


def _path(name: str) -> list[str]:
    """Return the tags of an attribute: by keyword or number, of sequences with dots."""
    from pydicom.datadict import tag_for_keyword  # as above

    found = []
    for part in name.split("."):
        if len(part) == 8 and not set(part.upper()) - set("0123456789ABCDEF"):
            found.append(part.upper())
            continue
        tag = tag_for_keyword(part)
        if tag is None:
            raise BadRequest(f"there is no attribute {part[:64]}", expression=f"http.{part[:64]}")
        found.append(f"{tag:08X}")
    return found


def vr_of(tag: str) -> str:
    """Return the value representation of a tag."""
    from pydicom.datadict import dictionary_VR  # as above

    try:
        return str(dictionary_VR(int(tag, 16)))[:2]
    except KeyError:
        return "UN"


def number(query: Mapping[str, str], name: str, default: int) -> int:
    """Return a number of a query. Raises BadRequest."""
    value = query.get(name, "")
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise BadRequest(f"{name} is a number, 0 or more", expression=f"http.{name}")
    return int(value)
