"""WADO-RS of metadata: of a series it is kept ready-made, for viewers ask for all of it before they show anything."""

import gzip
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from dicomweb.index.collections import HEADERS, READY, SERIES
from dicomweb.index.reading import below
from dicomweb.index.rows import unpacked
from dicomweb.model.values import DicomJson
from dicomweb.wado.media import covers
from dicomweb.web import JSON, Asked, bare, data_sets, not_modified
from fhir_server.plugin_api import BlobChange, NotFound, Record, RecordChange, RecordChanged, RouteResponse

_RELATIVE: Final = b'"BulkDataURI":"bulkdata/'
_LEVEL: Final = 1


async def metadata(asked: Asked) -> RouteResponse:
    """Answer `GET .../metadata`."""
    within = asked.within
    await asked.authority.need(asked.ctx, within["study"])
    wants_json = any(not each.multipart and covers(each.type, JSON) for each in asked.accepts(JSON))
    await asked.authority.note(asked.ctx, within["study"], "read", instances=0)
    if "instance" in within:
        return await _instance(asked, wants_json)
    if "series" in within:
        return await _series(asked, f"{within['study']}/{within['series']}", wants_json)
    return await _study(asked, wants_json)


async def _instance(asked: Asked, wants_json: bool) -> RouteResponse:
    key = "/".join(asked.within[each] for each in ("study", "series", "instance"))
    record = await asked.ctx.store.get(HEADERS.name, key)
    if record is None:
        raise NotFound("there is no such instance", expression="http.url")
    body = b"[" + _absolute(asked, record) + b"]"
    return _answer(asked, body, f'"{sha256(body).hexdigest()[:32]}"', wants_json)


async def _study(asked: Asked, wants_json: bool) -> RouteResponse:
    """Put together what is ready of each series."""
    series = await below(asked.ctx, SERIES, f"{asked.within['study']}/")
    if not series:
        raise NotFound("there is no such study", expression="http.url")
    parts = [gzip.decompress(await _ready(asked, each.key, each))[1:-1] for each in series]
    body = b"[" + b",".join(part for part in parts if part) + b"]"
    return _answer(asked, body, f'"{sha256(body).hexdigest()[:32]}"', wants_json)


async def _series(asked: Asked, key: str, wants_json: bool) -> RouteResponse:
    series = await asked.ctx.store.get(SERIES.name, key)
    if series is None:
        raise NotFound("there is no such series", expression="http.url")
    etag = _etag(asked, key, series)
    if same := not_modified(asked, etag):
        return same
    packed = await _ready(asked, key, series)
    headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "accept, accept-encoding"}
    if wants_json and "gzip" in asked.request.headers.get("accept-encoding", ""):
        return bare(asked, RouteResponse(200, packed, JSON, {**headers, "content-encoding": "gzip"}))
    return _answer(asked, gzip.decompress(packed), etag, wants_json)


def _answer(asked: Asked, body: bytes, etag: str, wants_json: bool) -> RouteResponse:
    if same := not_modified(asked, etag):
        return same
    headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "accept, accept-encoding"}
    if wants_json:
        return RouteResponse(200, body, JSON, headers)
    rows: list[DicomJson] = msgspec.json.decode(body)
    return data_sets(asked, rows, headers)


def _etag(asked: Asked, key: str, series: Record) -> str:
    said = f"{asked.root} {key} {series.revision} {series.value.get('mark')}"
    return f'"{sha256(said.encode()).hexdigest()[:32]}"'


async def _ready(asked: Asked, key: str, series: Record) -> bytes:
    """Return the metadata of a series as gzip, made now if that of this URL is not there or older than the series."""
    mark = _etag(asked, key, series)
    ready = await asked.ctx.store.get(READY.name, key)
    if ready is not None and ready.value["mark"] == mark:
        try:
            return b"".join([each async for each in await asked.ctx.store.open(str(ready.value["blob"]))])
        except KeyError:
            ready = None
    packed = gzip.compress(await _made(asked, key), _LEVEL, mtime=0)
    await _keep(asked, key, mark, packed, ready)
    return packed


async def _made(asked: Asked, key: str) -> bytes:
    records = await below(asked.ctx, HEADERS, f"{key}/")
    return b"[" + b",".join(_absolute(asked, each) for each in _ordered(records)) + b"]"


def _ordered(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda each: each.key)


def _absolute(asked: Asked, record: Record) -> bytes:
    """Return the attributes of an instance, the places of its bulk data as whole URLs."""
    study, series, sop = record.key.split("/")
    url = f"{asked.root}/studies/{study}/series/{series}/instances/{sop}/bulkdata/"
    return unpacked(str(record.value["z"])).replace(_RELATIVE, b'"BulkDataURI":"' + url.encode())


async def _keep(asked: Asked, key: str, mark: str, packed: bytes, before: Record | None) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield packed

    store = asked.ctx.store
    ref = await store.stage(chunks())
    changes = [BlobChange(ref.id, attach=True)]
    if before is not None:
        changes.append(BlobChange(str(before.value["blob"]), attach=False))
    expected = before.revision if before else None
    try:
        await store.keep(*changes, records=[RecordChange(READY.name, key, {"mark": mark, "blob": ref.id}, expected)])
    except RecordChanged:
        await store.discard(ref.id)  # somebody else has made it at the same time
