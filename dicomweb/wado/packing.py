"""Objects as a ZIP that is a DICOM file-set, with its directory at the end: it is known when all others were sent.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part12/chapter_V.html
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from dicomweb.fileset.directory import NAME, Described, Directory
from dicomweb.fileset.reading import described
from dicomweb.model.values import Instance
from dicomweb.wado.archives import each_of, zipped
from dicomweb.wado.retrieving import DEAD, ZIP, behind, ready, target, wished
from dicomweb.web import Asked, bare
from fhir_server.plugin_api import RouteResponse


async def packed(asked: Asked, instances: Sequence[Instance], syntax: str) -> RouteResponse:
    """Answer with all of them but those that cannot be converted."""

    async def files() -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        directory = Directory()
        for instance in instances:
            made = await ready(asked, instance, syntax)
            if made is not None:
                name = directory.place(instance.study, instance.series)
                said, made = await _described(asked, instance, syntax, made)
                directory.add(name, said)
                yield name, made
        if not directory.empty:
            yield NAME, each_of(directory.chunks())

    name = f'attachment; filename="{instances[0].study}.zip"'
    return bare(asked, RouteResponse(200, zipped(files()), ZIP, {**DEAD, "content-disposition": name}))


async def _described(
    asked: Asked, instance: Instance, syntax: str, made: AsyncIterator[bytes]
) -> tuple[Described, AsyncIterator[bytes]]:
    """Return what a directory says of an object, and the object: the index knows it, unless it was made right now."""
    pictured = instance.pixels is not None
    if wished(asked) is None:
        rows = await asked.archive.metadata(asked.ctx, instance)
        return Described(rows, target(instance, syntax), pictured), made
    whole = await anext(made)
    return await asyncio.to_thread(described, whole, pictured=pictured), behind(whole, made)
