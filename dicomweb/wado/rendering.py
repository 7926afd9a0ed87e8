"""WADO-RS of what people see: rendered images and documents, thumbnails."""

from collections.abc import AsyncIterator
from typing import Final

from dicomweb.model.codec import CodecFailure, Picture, Rendering
from dicomweb.model.values import Instance
from dicomweb.wado.frames import numbers_of
from dicomweb.wado.media import covers
from dicomweb.web import Asked, NotAcceptable, Part, Undecodable, bare, multipart, not_modified, part
from fhir_server.plugin_api import NotFound, RouteResponse

_DEFAULT: Final = "image/jpeg"
_NAMES: Final = ("window", "viewport", "quality", "annotation", "iccprofile")
_DOCUMENTS: Final = frozenset(("application/pdf", "text/html"))
_MOST: Final = 500


async def rendered(asked: Asked) -> RouteResponse:
    """Answer `GET .../rendered` and `GET .../thumbnail`."""
    await asked.authority.need(asked.ctx, asked.within["study"])
    instances = await asked.archive.select(asked.ctx, asked.within)
    if not instances:
        raise NotFound("there is nothing of this UID", expression="http.url")
    thumbnail = asked.rest[-1] == "thumbnail"
    for each in asked.accepts(_DEFAULT):
        for media in asked.codec.renders():
            if not covers(each.type, media):
                continue
            if each.multipart and not thumbnail:
                chosen = [one for one in instances if _shows(one)][:_MOST]
                return bare(asked, multipart(_parts(asked, chosen, media), media, {}))
            return await _one(asked, _chosen(asked, instances), media, thumbnail)
    raise NotAcceptable(f"rendered come {', '.join(asked.codec.renders())}", expression="http.accept")


def _shows(instance: Instance) -> bool:
    return instance.pixels is not None


def _chosen(asked: Asked, instances: list[Instance]) -> Instance:
    """Return the instance that stands for several: the middle one of those with pixels."""
    shown = [each for each in instances if _shows(each)] or instances
    return instances[0] if "instance" in asked.within else shown[len(shown) // 2]


async def _one(asked: Asked, instance: Instance, media: str, thumbnail: bool) -> RouteResponse:
    etag = f'"{instance.sha256[:24]}-{abs(hash((asked.request.query, asked.rest, media))):x}"'
    if same := not_modified(asked, etag):
        return same
    picture = await _picture(asked, instance, media, thumbnail)
    headers = {"etag": etag, "cache-control": "private, no-cache", **picture.headers}
    return RouteResponse(200, picture.body, picture.media_type, headers)


async def _parts(asked: Asked, instances: list[Instance], media: str) -> AsyncIterator[Part]:
    for instance in instances:
        picture = await _picture(asked, instance, media, False)
        yield part(picture.body, picture.media_type)


async def _picture(asked: Asked, instance: Instance, media: str, thumbnail: bool) -> Picture:
    frames = tuple(numbers_of(asked.rest[1], instance)) if asked.rest[0] == "frames" else ()
    parameters = {name: value for name, value in asked.request.query if name in _NAMES}
    opened = await asked.archive.open(asked.ctx, instance)
    try:
        return await asked.codec.render(opened, Rendering(media, frames, parameters, thumbnail))
    except CodecFailure as failure:
        raise Undecodable(str(failure)) from None
