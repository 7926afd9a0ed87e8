"""WADO-URI: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/chapter_9.html"""

from typing import Final

from dicomweb.model.codec import CodecFailure, Rendering
from dicomweb.qido.asking import need_uid
from dicomweb.wado.frames import numbers_of
from dicomweb.wado.media import covers
from dicomweb.wado.retrieving import DICOM, single
from dicomweb.web import Asked, NotAcceptable, Undecodable
from fhir_server.plugin_api import BadRequest, RouteResponse

_NAMES: Final = ("studyUID", "seriesUID", "objectUID")


async def wado_uri(asked: Asked) -> RouteResponse:
    """Answer `GET /wado?requestType=WADO&studyUID=..&seriesUID=..&objectUID=..`."""
    if asked.parameter("requestType") != "WADO":
        raise BadRequest("requestType has to be WADO", expression="http.requestType")
    uids = [asked.parameter(name) for name in _NAMES]
    for name, uid in zip(_NAMES, uids, strict=True):
        if not uid:
            raise BadRequest(f"{name} is missing", expression=f"http.{name}")
        need_uid(uid)
    instance = await asked.archive.instance(asked.ctx, *uids)
    wanted = asked.parameter("contentType") or ("image/jpeg" if instance.pixels else DICOM)
    kinds = [each.split(";")[0].strip() for each in wanted.split(",")]
    if DICOM in kinds:
        return await single(asked, instance, asked.parameter("transferSyntax"))
    media = next((each for each in asked.codec.renders() if any(covers(kind, each) for kind in kinds)), "")
    if not media:
        raise NotAcceptable("this comes as application/dicom, or rendered", expression="http.contentType")
    number = asked.parameter("frameNumber")
    frames = tuple(numbers_of(number, instance)) if number else ()
    opened = await asked.archive.open(asked.ctx, instance)
    try:
        picture = await asked.codec.render(opened, Rendering(media, frames, _parameters(asked)))
    except CodecFailure as failure:
        raise Undecodable(str(failure)) from None
    return RouteResponse(200, picture.body, picture.media_type, {"cache-control": "private, no-cache"})


def _parameters(asked: Asked) -> dict[str, str]:
    """Return the parameters as those of WADO-RS."""
    found = {"quality": asked.parameter("imageQuality"), "annotation": asked.parameter("annotation")}
    rows, columns = asked.parameter("rows"), asked.parameter("columns")
    if rows or columns:
        found["viewport"] = f"{columns or rows},{rows or columns}"
    center, width = asked.parameter("windowCenter"), asked.parameter("windowWidth")
    if center and width:
        found["window"] = f"{center},{width},linear"
    return {name: value for name, value in found.items() if value}
