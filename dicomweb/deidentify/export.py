"""`ImagingStudy/$deidentify`: studies without identity as a ZIP of Part 10 objects, at once or as a job."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from typing import Any

from dicomweb.deidentify.options import options_of
from dicomweb.deidentify.retrieval import Wish, anonymous
from dicomweb.doors import archive, settings_of
from dicomweb.fileset.directory import NAME, Directory
from dicomweb.fileset.reading import described
from dicomweb.model.codec import CodecFailure
from dicomweb.model.values import Instance
from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    FhirResponse,
    NotFound,
    PluginContext,
    TooCostly,
)

_UID_SYSTEM = "urn:dicom:uid"
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that ZIP knows; the real one would say when it was made


async def deidentify(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer a call.

    Raises:
        BadValue: an option is none. NotFound: there is no such study that the caller may see.
        TooCostly: there are too many instances to wait for.
    """
    wish = _wish(call)
    door, instances = archive(ctx), list[Instance]()
    for study in await _studies(ctx, call):
        instances += await door.select(ctx, {"study": study})
    if not instances:
        raise NotFound("there are no DICOM objects of this study", expression="ImagingStudy")
    most = settings_of(ctx).deidentify_at_once
    if ctx.job is None and len(instances) > most:
        said = f"there are {len(instances)} instances; for over {most} ask with Prefer: respond-async"
        raise TooCostly(said, expression="http.headers.prefer")
    headers = {"Content-Disposition": 'attachment; filename="deidentified.zip"'}
    return FhirResponse(200, stream=_zip(ctx, instances, wish), media_type="application/zip", headers=headers)


def _wish(call: Call) -> Wish:
    try:
        options = options_of([str(each) for each in call.inputs.many("option")])
    except ValueError as error:
        raise BadValue(str(error), expression="option") from error
    return Wish(options, str(call.inputs.one("project") or "")[:64])


async def _studies(ctx: PluginContext, call: Call) -> list[str]:
    """Return the Study Instance UIDs of the studies that are asked for; the caller's authority is asked for each."""
    ids = [str(call.request.id)] if call.request.id else [_id(each) for each in call.inputs.many("study")]
    if not ids:
        raise BadRequest("name a study: ImagingStudy/[id]/$deidentify, or the parameter study", expression="study")
    found = []
    for id_ in dict.fromkeys(ids):
        resource = await ctx.client.read("ImagingStudy", id_)
        uids = [each["value"] for each in resource.get("identifier", ()) if each.get("system") == _UID_SYSTEM]
        found += [str(uid).removeprefix("urn:oid:") for uid in uids]
    return found


def _id(reference: Any) -> str:
    said = reference.get("reference", "") if isinstance(reference, dict) else reference
    return str(said).rpartition("/")[2]


class _Sink(io.RawIOBase):
    """What a ZIP writes to, emptied as it goes on."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.chunks.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        chunks, self.chunks = self.chunks, []
        return b"".join(chunks)


async def _zip(ctx: PluginContext, instances: Sequence[Instance], wish: Wish) -> AsyncIterator[bytes]:
    """Yield a ZIP of the objects; those that cannot be de-identified are named by number in left-out.txt."""
    sink, left = _Sink(), []
    directory = Directory()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as packed:
        for number, instance in enumerate(instances, 1):
            try:
                done = await anonymous(ctx, await archive(ctx).open(ctx, instance), wish)
            except CodecFailure as failure:
                left.append(f"object {number} of {len(instances)}: {failure}")
                continue
            name = directory.place(done.study, done.series)
            said = await asyncio.to_thread(described, done.body, pictured=instance.pixels is not None)
            directory.add(name, said)
            packed.writestr(zipfile.ZipInfo(name, _DATE), done.body)
            ctx.progress(number, len(instances))
            yield sink.taken()
        if not directory.empty:
            with packed.open(zipfile.ZipInfo(NAME, _DATE), "w", force_zip64=True) as out:
                for chunk in directory.chunks():
                    out.write(chunk)
                    yield sink.taken()
        if left:
            packed.writestr(zipfile.ZipInfo("left-out.txt", _DATE), "\n".join(left) + "\n")
    yield sink.taken()
