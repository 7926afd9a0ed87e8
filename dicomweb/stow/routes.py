"""STOW-RS: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.5.html"""

from collections.abc import AsyncIterator
from typing import Final

from dicomweb.qido.asking import need_uid
from dicomweb.stow.answer import module, status_of, warnings
from dicomweb.stow.described import data_sets, part10
from dicomweb.stow.multipart import Parts
from dicomweb.stow.storing import Storing
from dicomweb.wado.media import content_type
from dicomweb.web import JSON, XML, Asked, UnsupportedMedia, one_data_set
from fhir_server.plugin_api import BadRequest, RouteResponse, TooLarge

_DICOM: Final = ("application/dicom", "application/octet-stream")
_MOST_DESCRIBED: Final = 268_435_456


async def store(asked: Asked) -> RouteResponse:
    """Answer `POST studies` and `POST studies/{study}`."""
    study = asked.within.get("study", "")
    if study:
        need_uid(study)
    asked.authority.need_to_store(asked.ctx)
    kind, parameters = content_type(asked.request.headers.get("content-type", ""))
    storing = Storing(asked.ctx, asked.archive, asked.settings, study, asked.request.address)
    try:
        if kind == "multipart/related":
            await _parts(asked, storing, parameters)
        elif kind == "application/dicom":
            await storing.add(asked.request.stream())
        else:
            raise UnsupportedMedia(f"objects come as multipart/related or {_DICOM[0]}", expression="http.content-type")
        outcomes = await storing.end()
    except BaseException:
        await storing.give_up()
        raise
    if not outcomes:
        raise BadRequest("the request has no objects", expression="http.body")
    said = warnings(outcomes)
    return one_data_set(asked, module(outcomes, asked.root), status_of(outcomes), {"warning": said} if said else {})


async def _parts(asked: Asked, storing: Storing, parameters: dict[str, str]) -> None:
    kind = parameters.get("type", "application/dicom").lower()
    parts = Parts(asked.request.stream(), parameters.get("boundary", ""))
    if kind in (JSON, XML, "application/json"):
        return await _described(storing, parts, kind)
    if kind not in ("application/dicom", "*/*"):
        raise UnsupportedMedia(f"parts of type {kind[:80]} are not taken", expression="http.content-type")
    async for headers, body in parts:
        media, _ = content_type(headers.get("content-type", "application/dicom"))
        if media in _DICOM:
            await storing.add(body)
        else:
            storing.fail(f"a part is {media[:80]}, not application/dicom")
    return None


async def _described(storing: Storing, parts: Parts, kind: str) -> None:
    """Take metadata and bulk data, which are put together when all are there."""
    described, room = [], _MOST_DESCRIBED
    bulk: dict[str, tuple[str, list[bytes]]] = {}
    async for headers, body in parts:
        media, parameters = content_type(headers.get("content-type", "" if "content-location" in headers else kind))
        data = await _whole(body, room)
        room -= len(data)
        if media in (JSON, XML, "application/json"):
            described += data_sets(data, media)
            continue
        location = headers.get("content-location", "") or headers.get("content-id", "").strip("<>")
        syntax, before = bulk.get(location, (parameters.get("transfer-syntax", ""), []))
        bulk[location] = syntax, [*before, data]
    for attributes in described:
        try:
            await storing.add_whole(part10(attributes, bulk))
        except ValueError as error:
            storing.fail(str(error))


async def _whole(body: AsyncIterator[bytes], room: int) -> bytes:
    found = bytearray()
    async for chunk in body:
        found += chunk
        if len(found) > room:
            raise TooLarge(
                f"metadata and bulk data are more than {_MOST_DESCRIBED} bytes: send application/dicom",
                expression="http.body",
            )
    return bytes(found)
