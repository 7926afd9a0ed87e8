"""WADO-RS of bulk data: values of elements, by their path in the data set."""

from collections.abc import AsyncIterator
from typing import Final

from dicomweb.ingest.locating import located
from dicomweb.model.archive import Opened
from dicomweb.model.values import Instance
from dicomweb.wado.frames import frames
from dicomweb.wado.media import covers
from dicomweb.wado.syntaxes import OCTETS
from dicomweb.web import Asked, NotAcceptable, Part, bare, instance_of, multipart, not_modified, part, span
from fhir_server.plugin_api import NotFound, RouteResponse

_DEFAULT: Final = 'multipart/related; type="*/*"'
_DOCUMENT: Final = "00420011"


async def bulk(asked: Asked) -> RouteResponse:
    """Answer `GET .../bulkdata/{path}`."""
    instance = await instance_of(asked)
    path = [each.upper() for each in asked.rest[1:]]
    pixels = instance.pixels
    if pixels and path == [pixels.tag] and pixels.length == -1:
        numbers = ",".join(str(number + 1) for number in range(pixels.frames))
        return await frames(_as_frames(asked, numbers))
    etag = f'"{instance.sha256[:24]}-{"-".join(path)[:60]}"'
    if same := not_modified(asked, etag):
        return same
    opened = await asked.archive.open(asked.ctx, instance)
    read, media = await _value(opened, instance, path)
    return _answer(asked, read, media, etag)


def _as_frames(asked: Asked, numbers: str) -> Asked:
    return Asked(asked.ctx, asked.request, asked.within, ("frames", numbers))


class _Value:
    """The bytes of a value, in the object or in memory."""

    def __init__(self, size: int, opened: Opened | None = None, start: int = 0, data: bytes = b"") -> None:
        self.size, self._opened, self._start, self._data = size, opened, start, data

    async def chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield a range."""
        if self._opened is None:
            yield self._data[start:end]
            return
        async for chunk in self._opened.chunks(self._start + start, self._start + end):
            yield chunk


async def _value(opened: Opened, instance: Instance, path: list[str]) -> tuple[_Value, str]:
    pixels = instance.pixels
    header = await opened.header()
    place = located(header, instance.transfer_syntax, path)
    if place is not None:
        start, length = place
        media = OCTETS
        if path == [_DOCUMENT]:
            kind = located(header, instance.transfer_syntax, ["00420012"])
            said = header[kind[0] : kind[0] + kind[1]].decode("latin-1").strip(" \0") if kind else ""
            media = said if "/" in said and said.isascii() and said.isprintable() else OCTETS
        return _Value(length, data=header[start : start + length]), media
    if pixels is None or path != [pixels.tag]:
        raise NotFound("the object has no such value", expression="http.url")
    if pixels.start >= instance.size:
        return _Value(pixels.length, data=b"".join([await opened.frame(n + 1) for n in range(pixels.frames)])), OCTETS
    return _Value(pixels.length, opened, pixels.start), OCTETS


def _answer(asked: Asked, value: _Value, media: str, etag: str) -> RouteResponse:
    headers = {"etag": etag, "cache-control": "private, no-cache", "accept-ranges": "bytes"}
    found = span(asked, value.size, etag)
    start, end = found or (0, value.size)
    if found:
        headers["content-range"] = f"bytes {start}-{end - 1}/{value.size}"
    for each in asked.accepts(_DEFAULT):
        if not (covers(each.type, media) or covers(each.type, OCTETS)):
            continue
        if each.multipart:
            parts = _one(part(value.chunks(start, end), media))
            return bare(asked, multipart(parts, media, headers, 206 if found else 200))
        headers["content-length"] = str(end - start)
        return bare(asked, RouteResponse(206 if found else 200, value.chunks(start, end), media, headers))
    raise NotAcceptable(f"this value comes as {media}", expression="http.accept")


async def _one(each: Part) -> AsyncIterator[Part]:
    yield each
