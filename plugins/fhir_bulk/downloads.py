"""Files of bulk work over HTTP: with ranges, packed where the client takes it.

Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-output-file-request
"""

import asyncio
import hmac
import re
import zlib
from collections.abc import AsyncIterator

from fhir_bulk.asked import NDJSON, PARQUET
from fhir_bulk.exports import EXPORTS
from fhir_bulk.kinds import KINDS
from fhir_bulk.lines import closing
from fhir_bulk.manifest import signature
from fhir_bulk.records import Bulk, File, find, may_see
from fhir_server.plugin_api import BadValue, Forbidden, NotFound, PluginContext, RouteRequest, RouteResponse

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z", re.ASCII)
_LEVEL, _GZIP = 1, 31


async def with_token(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Answer with a file of the caller. Raises NotFound."""
    for kind in KINDS.values():
        found = await find(ctx, kind, asked.path["id"])
        if may_see(ctx, found):
            return await _file(ctx, asked, found)
    raise NotFound("there is no such file", expression="http.url")


async def signed(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Answer with a file to whoever has its URL. Raises Forbidden: the signature is wrong, or the time is over."""
    query = dict(asked.query)
    until = query.get("until", "")
    if not until.isascii() or not until.isdigit() or len(until) > 12:
        raise BadValue("until is no time", expression="http.until")
    id_, name = asked.path["id"], asked.path["name"]
    good = hmac.compare_digest(query.get("signature", "").encode(), signature(ctx, id_, name, int(until)).encode())
    if not good or int(until) * 1_000 < ctx.now():
        raise Forbidden("this URL was not signed by this server, or is no longer good", expression="http.signature")
    export = await find(ctx, EXPORTS, id_)
    return await _file(ctx, asked, export)


async def _file(ctx: PluginContext, asked: RouteRequest, bulk: Bulk | None) -> RouteResponse:
    files = () if bulk is None or bulk.expires < ctx.now() else bulk.files
    found = next((file for file in files if file.name == asked.path["name"]), None)
    if found is None:
        raise NotFound(f"there is no file {asked.path['name'][:80]}", expression="http.url")
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{found.blob}"', "Cache-Control": "private, no-store"}
    headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    headers["Vary"] = "Accept-Encoding, Authorization"
    media_type = PARQUET if found.name.endswith(".parquet") else NDJSON
    start, end = _range(asked, found)
    if end is not None:
        if start >= found.size:
            return RouteResponse(416, b"", "", {**headers, "Content-Range": f"bytes */{found.size}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
        headers["Content-Length"] = str(end - start)
        return RouteResponse(206, await ctx.store.open(found.blob, start, end), media_type, headers)
    body = await ctx.store.open(found.blob)
    if media_type == NDJSON and _takes_gzip(asked.headers.get("accept-encoding", "")):
        return RouteResponse(200, _packed(body), media_type, {**headers, "Content-Encoding": "gzip"})
    return RouteResponse(200, body, media_type, {**headers, "Content-Length": str(found.size)})


def _range(asked: RouteRequest, file: File) -> tuple[int, int | None]:
    """Return [start, end) of the range that is asked for; no end where all is. Several ranges are answered with all.

    Source: RFC 9110, section 14
    """
    match = _RANGE.match(asked.headers.get("range", ""))
    tag = asked.headers.get("if-range")
    if match is None or match[0] == "bytes=-" or (tag is not None and tag != f'"{file.blob}"'):
        return 0, None
    if not match[1]:
        return max(0, file.size - int(match[2])), file.size
    last = min(int(match[2]), file.size - 1) if match[2] else file.size - 1
    start = int(match[1])
    return (start, last + 1) if last >= start or start >= file.size else (0, None)


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


async def _packed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    async with closing(chunks):
        async for chunk in chunks:
            if ready := await asyncio.to_thread(packer.compress, chunk):
                yield ready
    yield packer.flush()
