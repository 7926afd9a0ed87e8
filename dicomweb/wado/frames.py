"""WADO-RS of frames: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.4.html#table_10.4.1-3"""

from collections.abc import AsyncIterator
from typing import Final

from dicomweb.ingest.syntaxes import BIG_ENDIAN, EXPLICIT, is_native
from dicomweb.model.archive import Opened
from dicomweb.model.codec import CodecFailure
from dicomweb.model.values import Instance
from dicomweb.wado.media import Accepted, covers
from dicomweb.wado.syntaxes import DEFAULTS, MEDIA, OCTETS, media_of
from dicomweb.web import Asked, NotAcceptable, Part, Undecodable, bare, instance_of, multipart, not_modified, part, span
from fhir_server.plugin_api import BadRequest, NotFound, RouteResponse

_DEFAULT: Final = 'multipart/related; type="*/*"'
_MOST: Final = 10_000


async def frames(asked: Asked) -> RouteResponse:
    """Answer `GET .../frames/1,2`."""
    instance = await instance_of(asked)
    numbers = numbers_of(asked.rest[1], instance)
    for each in asked.accepts(_DEFAULT):
        syntax = _syntax(asked, instance, each)
        if syntax and (each.multipart or len(numbers) == 1):
            return await _answer(asked, instance, numbers, syntax, each.multipart)
    raise NotAcceptable(
        f"these frames are in {instance.transfer_syntax}, and cannot be had as is asked", expression="http.accept"
    )


def numbers_of(text: str, instance: Instance) -> list[int]:
    """Return the frames that a list names. Raises BadRequest, NotFound."""
    named = text.split(",")
    if not all(each.isascii() and each.isdigit() and len(each) < 9 for each in named) or len(named) > _MOST:
        raise BadRequest("frames are numbers from 1, with commas between", expression="http.url")
    numbers = [int(each) for each in named]
    there = instance.pixels.frames if instance.pixels else 0
    if 0 in numbers:
        raise BadRequest("frames are numbers from 1", expression="http.url")
    if max(numbers) > there:
        raise NotFound(f"there are {there} frames", expression="http.url")
    return numbers


def _syntax(asked: Asked, instance: Instance, each: Accepted) -> str:
    """Return the transfer syntax in which an accepted type gets these frames; empty where it cannot."""
    stored = instance.transfer_syntax
    plain = EXPLICIT if is_native(stored) and stored != BIG_ENDIAN else stored
    if each.syntax == "*" or (each.type == "*/*" and not each.syntax):
        return plain
    wanted = each.syntax or (stored if media_of(stored) == each.type and stored != BIG_ENDIAN else "")
    if not wanted and covers(each.type, media_of(stored)) and not is_native(stored):
        wanted = stored
    wanted = wanted or DEFAULTS.get(each.type, "")
    if is_native(wanted) and is_native(stored) and stored != BIG_ENDIAN:
        return plain
    if wanted and wanted != stored and (not covers(each.type, media_of(wanted)) and each.type != OCTETS):
        return ""
    return wanted if wanted and (wanted == stored or asked.codec.can(stored, wanted)) else ""


async def _answer(asked: Asked, instance: Instance, numbers: list[int], syntax: str, several: bool) -> RouteResponse:
    etag = f'"{instance.sha256[:24]}-{"_".join(map(str, numbers))[:40]}-{syntax[-6:]}"'
    if same := not_modified(asked, etag):
        return same
    await asked.authority.note(asked.ctx, instance.study, "read", frames=len(numbers))
    opened = asked.archive.at(asked.ctx, instance)
    media = MEDIA.get(syntax, OCTETS)
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    first = await _frame(asked, opened, numbers[0], syntax)
    if several:
        url = f"{asked.root}/studies/{instance.study}/series/{instance.series}/instances/{instance.sop}/frames"
        return bare(asked, multipart(_parts(asked, opened, numbers, syntax, first, url), media, headers))
    found = span(asked, len(first), etag)
    start, end = found or (0, len(first))
    headers["accept-ranges"] = "bytes"
    if found:
        headers["content-range"] = f"bytes {start}-{end - 1}/{len(first)}"
    return RouteResponse(206 if found else 200, first[start:end], f"{media}; transfer-syntax={syntax}", headers)


async def _parts(
    asked: Asked, opened: Opened, numbers: list[int], syntax: str, first: bytes, url: str
) -> AsyncIterator[Part]:
    media = MEDIA.get(syntax, OCTETS)
    yield part(first, media, f"{url}/{numbers[0]}", syntax)
    for number in numbers[1:]:
        yield part(await _frame(asked, opened, number, syntax), media, f"{url}/{number}", syntax)


async def _frame(asked: Asked, opened: Opened, number: int, syntax: str) -> bytes:
    stored = opened.instance.transfer_syntax
    if syntax == stored or (is_native(syntax) and is_native(stored) and stored != BIG_ENDIAN):
        return await opened.frame(number)
    try:
        return await asked.codec.transcoded_frame(opened, number, syntax)
    except CodecFailure as failure:
        raise Undecodable(str(failure)) from None
