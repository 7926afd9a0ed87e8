"""What the parts of DICOMweb share: the request as they see it, answers in JSON, XML and multipart, ranges, ETags."""

import re
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

import msgspec

from dicomweb.doors import archive, authority, codec
from dicomweb.model.authority import Authority
from dicomweb.model.codec import Codec
from dicomweb.model.values import DicomJson, Instance, Level
from dicomweb.wado.media import Accepted, accepted, covers
from dicomweb.wado.native_xml import to_xml
from fhir_server.plugin_api import FhirError, PluginContext, RouteRequest, RouteResponse

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings
    from dicomweb.store.archive import StoredArchive

JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"
_BREAK: Final = b"\r\n"
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class NotAcceptable(FhirError):
    """Nothing of what the client takes can be made."""

    status, code = 406, "not-supported"


class UnsupportedMedia(FhirError):
    """The body is of a kind that is not taken."""

    status, code = 415, "not-supported"


class Undecodable(FhirError):
    """The pixels cannot be decoded or shown."""

    status, code = 422, "processing"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. within: UIDs of the path; rest: what follows them, `metadata` or `frames/1,2`."""

    ctx: PluginContext
    request: RouteRequest
    within: Mapping[Level, str] = field(default_factory=dict)
    rest: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """URL of DICOMweb."""
        return f"{self.request.root}/dicomweb"

    @property
    def settings(self) -> "DicomSettings":
        """The settings."""
        return cast("DicomSettings", self.ctx.settings)

    @property
    def archive(self) -> "StoredArchive":
        """The archive."""
        return cast("StoredArchive", archive(self.ctx))

    @property
    def authority(self) -> Authority:
        """The authority."""
        return authority(self.ctx)

    @property
    def codec(self) -> Codec:
        """The codec."""
        return codec(self.ctx)

    @property
    def is_head(self) -> bool:
        """Tell whether only the head of the answer is wanted."""
        return self.request.method == "HEAD"

    def parameter(self, name: str) -> str:
        """Return a parameter of the query."""
        return next((value for key, value in self.request.query if key == name), "")

    def accepts(self, default: str) -> list[Accepted]:
        """Return what the client takes; the query parameter `accept` goes before the header."""
        header = self.parameter("accept") or self.request.headers.get("accept", "")
        return accepted("" if header.strip() == "*/*" else header, default)


async def instance_of(asked: Asked) -> Instance:
    """Return the instance that the path names. Raises NotFound."""
    within = asked.within
    return await asked.archive.instance(asked.ctx, within["study"], within["series"], within["instance"])


def encoded(rows: Sequence[DicomJson]) -> bytes:
    """Return data sets as a JSON array."""
    return msgspec.json.encode(rows)


def data_sets(asked: Asked, rows: Sequence[DicomJson], headers: Mapping[str, str]) -> RouteResponse:
    """Answer with data sets as the client takes them. Raises NotAcceptable."""
    for each in asked.accepts(JSON):
        if not each.multipart and (covers(each.type, JSON) or each.type == "application/json"):
            return RouteResponse(200, encoded(rows), JSON, headers)
        if each.type == XML or (each.multipart and covers(each.type, XML)):
            parts = (part(to_xml(row), XML) for row in rows)
            return multipart(_each(parts), XML, headers)
    raise NotAcceptable(f"data sets come as {JSON} or multipart {XML}", expression="http.accept")


def one_data_set(asked: Asked, row: DicomJson, status: int, headers: Mapping[str, str]) -> RouteResponse:
    """Answer with one data set, as STOW does."""
    for each in asked.accepts(JSON):
        if each.type == XML:
            return RouteResponse(status, to_xml(row), XML, headers)
        if covers(each.type, JSON) or each.type == "application/json":
            break
    return RouteResponse(status, msgspec.json.encode(row), JSON, headers)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart answer: its headers and its bytes."""

    headers: bytes
    body: AsyncIterator[bytes] | bytes


def part(body: AsyncIterator[bytes] | bytes, media: str, location: str = "", syntax: str = "") -> Part:
    """Return a part."""
    lines = [f"Content-Type: {media}{f'; transfer-syntax={syntax}' if syntax else ''}"]
    if location:
        lines.append(f"Content-Location: {location}")
    return Part("\r\n".join(lines).encode("latin-1"), body)


def multipart(
    parts: AsyncIterator[Part], media: str, headers: Mapping[str, str], status: int = 200,
    sizes: Sequence[tuple[bytes, int]] = (),
) -> RouteResponse:  # fmt: skip
    """Answer with parts as they become ready. sizes: headers and length of each, where all are known before."""
    boundary = secrets.token_hex(16)
    kind = f'multipart/related; type="{media}"; boundary={boundary}'
    mark = boundary.encode()
    if sizes:
        length = sum(len(_head(mark, each)) + size for each, size in sizes) + len(_end(mark)) - len(_BREAK)
        headers = {**headers, "content-length": str(length)}
    return RouteResponse(status, _multipart(parts, mark), kind, headers)


def _head(boundary: bytes, headers: bytes) -> bytes:
    return _BREAK + b"--" + boundary + b"\r\n" + headers + b"\r\n\r\n"


def _end(boundary: bytes) -> bytes:
    return _BREAK + b"--" + boundary + b"--\r\n"


async def _multipart(parts: AsyncIterator[Part], boundary: bytes) -> AsyncIterator[bytes]:
    """Yield the body. Nothing stands before the first boundary, for some clients take it for a part."""
    before = _BREAK
    async for each in parts:
        head, before = _head(boundary, each.headers).removeprefix(before), b""
        if isinstance(each.body, bytes):
            yield head + each.body
            continue
        async for chunk in each.body:
            yield head + chunk if head else chunk
            head = b""
        if head:
            yield head
    yield _end(boundary).removeprefix(before)


async def _each(parts: Iterable[Part]) -> AsyncIterator[Part]:
    for each in parts:
        yield each


async def nothing() -> AsyncIterator[bytes]:
    """Yield nothing: the body of HEAD."""
    return
    yield b""


def bare(asked: Asked, response: RouteResponse) -> RouteResponse:
    """Return an answer without its body where only the head is wanted, so that nothing is read for it."""
    if not asked.is_head or isinstance(response.body, bytes):
        return response
    return replace(response, body=nothing())


def not_modified(asked: Asked, etag: str) -> RouteResponse | None:
    """Return 304 where the client has this already."""
    known = asked.request.headers.get("if-none-match", "")
    if known and (known.strip() == "*" or etag in [each.strip().removeprefix("W/") for each in known.split(",")]):
        return RouteResponse(304, b"", "", {"etag": etag})
    return None


def span(asked: Asked, size: int, etag: str = "") -> tuple[int, int] | None:
    """Return the [start, end) that a Range header asks for; None for all. Raises a 416 error."""
    header = asked.request.headers.get("range", "")
    condition = asked.request.headers.get("if-range", "")
    found = _RANGE.fullmatch(header.strip())
    if not found or (condition and condition != etag) or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end or start >= size:
        raise Unsatisfiable(size)
    return start, end


class Unsatisfiable(FhirError):
    """The range lies beyond the end."""

    status, code = 416, "value"

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies beyond the {size} bytes that there are", expression="http.range")
        self.headers["content-range"] = f"bytes */{size}"
