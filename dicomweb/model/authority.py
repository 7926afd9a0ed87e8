"""Authority: who may see which study. There is one rule: whoever may read the ImagingStudy of a study may see all of
its DICOM objects, and nobody else; scopes, compartments, Consents and labels of the FHIR record decide that."""

from collections.abc import Iterable
from typing import Protocol

from fhir_server.plugin_api import PluginContext


class Authority(Protocol):
    """Asked at every answer of the web and of DIMSE, frames included."""

    async def visible(self, ctx: PluginContext, studies: Iterable[str]) -> set[str]:
        """Return those of these Study Instance UIDs whose ImagingStudy the caller may read now."""

    async def need(self, ctx: PluginContext, study: str) -> None:
        """Raise NotFound where the caller may not see a study, as for one that is not there."""

    def need_to_store(self, ctx: PluginContext) -> None:
        """Raise Forbidden where the caller may neither create nor update any ImagingStudy."""

    async def note(self, ctx: PluginContext, study: str, did: str, instances: int = 0, frames: int = 0) -> None:
        """Record that the caller saw (`read`), stored (`create`), sent (`send`) or deleted (`delete`) of a study: one
        AuditEvent for each user, study, kind and `audit_window`, with counts."""
