"""WADO-RS of studies, series and instances.

https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.4.html
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from dicomweb.deidentify.retrieval import Wish, deidentified, wish_of
from dicomweb.lazily import later
from dicomweb.model.archive import Opened
from dicomweb.model.codec import CodecFailure
from dicomweb.model.values import Instance
from dicomweb.wado.media import covers
from dicomweb.web import Asked, NotAcceptable, Part, Undecodable, bare, multipart, not_modified, part, span
from fhir_server.plugin_api import BadRequest, NotFound, RouteResponse

DICOM: Final = "application/dicom"
ZIP: Final = "application/zip"
_DEFAULT: Final = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
DEAD: Final = {"cache-control": "private, no-cache"}
_packed = later("dicomweb.wado.packing:packed")


async def retrieve(asked: Asked) -> RouteResponse:
    """Answer `GET studies/{study}` and what lies below it."""
    await asked.authority.need(asked.ctx, asked.within["study"])
    instances = await asked.archive.select(asked.ctx, asked.within)
    if not instances:
        raise NotFound("there is nothing of this UID", expression="http.url")
    for each in asked.accepts(_DEFAULT):
        if each.multipart and covers(each.type, DICOM):
            if _can(asked, instances, each.syntax):
                return await _multipart(asked, instances, each.syntax)
        elif each.type == ZIP:
            found: RouteResponse = await _packed(asked, instances, each.syntax)
            return found
        elif covers(each.type, DICOM) and len(instances) == 1 and _can(asked, instances, each.syntax):
            return await single(asked, instances[0], each.syntax)
    raise NotAcceptable(
        f'objects come as multipart/related; type="{DICOM}", as {ZIP} and, one by one, as {DICOM}',
        expression="http.accept",
    )


def _can(asked: Asked, instances: Sequence[Instance], syntax: str) -> bool:
    return syntax in ("", "*") or all(_may(asked, each, syntax) for each in instances)


def _may(asked: Asked, instance: Instance, syntax: str) -> bool:
    stored = instance.transfer_syntax
    return stored == syntax or instance.pixels is None or asked.codec.can(stored, syntax)


async def _multipart(asked: Asked, instances: Sequence[Instance], syntax: str) -> RouteResponse:
    """Answer with all of them. What cannot be converted is left out, if it is not all that was asked for."""
    first = await ready(asked, instances[0], syntax, alone=len(instances) == 1) if not asked.is_head else None

    async def parts() -> AsyncIterator[Part]:
        made, instance = first, instances[0]
        for upcoming in (*instances[1:], None):
            ahead = asyncio.create_task(ready(asked, upcoming, syntax)) if upcoming is not None else None
            try:
                if made is not None:
                    yield part(made, DICOM, "", target(instance, syntax))
                if ahead is not None and upcoming is not None:
                    made, instance = await ahead, upcoming
            finally:
                if ahead is not None:
                    ahead.cancel()

    return bare(asked, multipart(parts(), DICOM, DEAD, sizes=_sizes(asked, instances, syntax)))


def _sizes(asked: Asked, instances: Sequence[Instance], syntax: str) -> list[tuple[bytes, int]]:
    """Return headers and sizes of the parts; none where objects are made while they are sent."""
    if wished(asked) is not None or any(target(each, syntax) != each.transfer_syntax for each in instances):
        return []
    return [(part(b"", DICOM, "", each.transfer_syntax).headers, each.size) for each in instances]


async def ready(
    asked: Asked, instance: Instance, syntax: str, *, alone: bool = False
) -> AsyncIterator[bytes] | None:  # fmt: skip
    """Return an object of which it is known that it can be sent, its first chunk read; None for one that cannot.

    Raises:
        Undecodable: it cannot, and is all that was asked for.
    """
    opened = await opened_of(asked, instance)
    chunks = content(asked, opened, target(instance, syntax))
    try:
        return behind(await anext(chunks), chunks)
    except Undecodable:
        if alone:
            raise
        return None
    except StopAsyncIteration:
        return None


async def behind(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a chunk that was taken already, and what follows it."""
    yield first
    async for chunk in rest:
        yield chunk


async def single(asked: Asked, instance: Instance, syntax: str) -> RouteResponse:
    """Answer with one object as it is, or a range of it."""
    used = target(instance, syntax)
    plain = used == instance.transfer_syntax and wished(asked) is None
    etag = f'"{instance.sha256[:32]}"' if plain else ""
    if etag and (same := not_modified(asked, etag)):
        return same
    if not etag:
        made = await ready(asked, instance, syntax, alone=True)
        return bare(asked, RouteResponse(200, made or b"", DICOM, DEAD))
    opened = await opened_of(asked, instance)
    headers = {**DEAD, "etag": etag, "accept-ranges": "bytes"}
    found = span(asked, instance.size, etag)
    start, end = found or (0, instance.size)
    headers["content-length"] = str(end - start)
    if found:
        headers["content-range"] = f"bytes {start}-{end - 1}/{instance.size}"
    return bare(asked, RouteResponse(206 if found else 200, opened.chunks(start, end), DICOM, headers))


def target(instance: Instance, syntax: str) -> str:
    """Return the transfer syntax in which an object is sent: the stored one, unless another is asked for."""
    return instance.transfer_syntax if syntax in ("", "*") else syntax


def content(asked: Asked, opened: Opened, syntax: str) -> AsyncIterator[bytes]:
    """Return an object in a transfer syntax."""
    wish = wished(asked)
    if wish is not None:
        return _anonymous(asked, opened, wish)
    if syntax == opened.instance.transfer_syntax:
        return opened.chunks()
    return _transcoded(asked, opened, syntax)


def wished(asked: Asked) -> Wish | None:
    """Return how objects are to be without identity; None where they are wanted as they are. Raises BadRequest."""
    try:
        return wish_of(asked.request.query)
    except ValueError as error:
        raise BadRequest(str(error), expression="http.deidentify") from None


async def _anonymous(asked: Asked, opened: Opened, wish: Wish) -> AsyncIterator[bytes]:
    try:
        async for chunk in deidentified(asked.ctx, opened, wish):
            yield chunk
    except CodecFailure as failure:
        raise Undecodable(str(failure)) from None


async def _transcoded(asked: Asked, opened: Opened, syntax: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in asked.codec.transcoded(opened, syntax):
            yield chunk
    except CodecFailure as failure:
        raise Undecodable(str(failure)) from None


async def opened_of(asked: Asked, instance: Instance) -> Opened:
    """Open an instance."""
    return await asked.archive.open(asked.ctx, instance)
