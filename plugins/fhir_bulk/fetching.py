"""Fetches the files of an import into large objects, from hosts that the settings allow and from no others."""

import zlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx

from fhir_server.plugin_api import BadRequest, BlobRef, OutsideOnly, PluginContext

_GZIP = b"\x1f\x8b"
_WINDOW = 31
_SLAB = 262_144


def check_url(ctx: PluginContext, url: str) -> None:
    """Check that the settings allow a URL to be fetched.

    Raises:
        BadRequest: no HTTPS, a user in it, or a host that is not allowed.
    """
    place = "Parameters.parameter.where(name='input')"
    inside, hosts = ctx.settings.import_inside, ctx.settings.import_hosts
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        _ = parts.port
    except ValueError:
        raise BadRequest("input.url is no URL", expression=place) from None
    if parts.scheme not in (("https", "http") if inside else ("https",)) or not host or "@" in parts.netloc:
        raise BadRequest("input.url: only https URLs without a user are fetched", expression=place)
    if "*" not in hosts and host not in hosts:
        raise BadRequest(
            f"input.url: {host[:100]} is not among the hosts that may be asked; the setting import_hosts of the "
            "plugin fhir_bulk names them",
            expression=place,
        )


async def fetch(ctx: PluginContext, url: str) -> BlobRef:
    """Copy the file at a URL, unpacked; it stays if it is attached.

    Raises:
        BadRequest: it cannot be had, is too large, or is broken.
    """
    check_url(ctx, url)
    settings = ctx.settings
    transport = OutsideOnly(inside=settings.import_inside)
    try:
        async with (
            httpx.AsyncClient(transport=transport, timeout=settings.import_timeout, trust_env=False) as client,
            client.stream("GET", url, headers={"accept": "application/fhir+ndjson"}) as answer,
        ):
            if answer.status_code != 200:
                raise BadRequest(f"{_named(url)} answers {answer.status_code}")
            return await ctx.store.stage(limited(unpacked(answer.aiter_bytes(_SLAB)), settings.import_bytes))
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise BadRequest(f"{_named(url)} cannot be fetched: {type(error).__name__}") from None


async def limited(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """Yield chunks. Raises BadRequest: they are more than `most` bytes."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise BadRequest(f"the file has more than {most} bytes; the setting import_bytes is the limit")
        yield chunk


async def unpacked(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a file that may be packed with gzip, unpacked in pieces. Raises BadRequest: it is broken."""
    packer, begun = None, False
    async for chunk in chunks:
        if not begun and chunk:
            begun = True
            packer = zlib.decompressobj(_WINDOW) if chunk.startswith(_GZIP) else None
        if packer is None:
            yield chunk
            continue
        rest = chunk
        while rest:
            try:
                piece = packer.decompress(rest, _SLAB)
            except zlib.error:
                raise BadRequest("the file is no whole gzip file") from None
            if piece:
                yield piece
            rest = packer.unconsumed_tail
            if packer.eof:
                rest = packer.unused_data
                if not rest:
                    break
                packer = zlib.decompressobj(_WINDOW)
    if packer is not None and not packer.eof:
        raise BadRequest("the file is no whole gzip file")


def _named(url: str) -> str:
    """Return a URL for messages, without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:300]
