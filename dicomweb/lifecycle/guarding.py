"""Guarding: an ImagingStudy whose objects are here is deleted with them, never alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from dicomweb.index.collections import STUDIES
from fhir_server.plugin_api import Finding, PluginContext, Verdict, Where, Write, WriteCheck

_WITH_OBJECTS: ContextVar[bool] = ContextVar("_WITH_OBJECTS", default=False)


@contextmanager
def with_objects() -> Iterator[None]:
    """Mark a deletion within as one that takes the objects with it."""
    token = _WITH_OBJECTS.set(True)
    try:
        yield
    finally:
        _WITH_OBJECTS.reset(token)


async def check(ctx: PluginContext, write: Write) -> Verdict | None:
    """Refuse the deletion of an ImagingStudy alone: objects would be left, and a legal hold would be passed by."""
    if write.resource is not None or _WITH_OBJECTS.get():
        return None
    if not await ctx.store.find(STUDIES.name, [Where("imaging_study", "=", write.id)], limit=1):
        return None
    text = "the DICOM objects of this study are here: DELETE /dicomweb/studies/[Study Instance UID] deletes both"
    return Verdict([Finding(text, "ImagingStudy")])


CHECKS: Final = (WriteCheck(check, ("ImagingStudy",)),)
