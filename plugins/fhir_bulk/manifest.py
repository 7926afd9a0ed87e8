"""The manifest: which files an export came to.

Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status
"""

import hmac
from hashlib import sha256
from typing import Any

from fhir_bulk.exports import Export
from fhir_bulk.imports import Import
from fhir_bulk.kickoff import root
from fhir_bulk.matches import Matching
from fhir_bulk.records import Bulk, File, Section
from fhir_server.plugin_api import PluginContext, instant

_SECTIONS: tuple[Section, ...] = ("output", "deleted", "error")


def manifest_of(ctx: PluginContext, found: Any, page: int | None = None) -> dict[str, Any]:
    """Return the manifest of any finished work."""
    if isinstance(found, Import):
        return import_manifest(ctx, found)
    return match_manifest(ctx, found) if isinstance(found, Matching) else manifest(ctx, found, page)


def manifest(ctx: PluginContext, export: Export, page: int | None = None) -> dict[str, Any]:
    """Return the manifest of an export, with URLs that are good until it expires.

    With a page, it is that of so many files, which never changes but for the link to the next one.
    """
    files, more = export.files, False
    if page is not None:
        size = ctx.settings.manifest_files
        files, more = export.files[page * size : (page + 1) * size], len(export.files) > (page + 1) * size
    found: dict[str, Any] = {
        "transactionTime": instant(export.instant),
        "request": export.request,
        "requiresAccessToken": export.token,
    }
    if export.asked.by_patient:
        found["outputOrganizedBy"] = "Patient"
    for section in _SECTIONS:
        found[section] = [_item(ctx, export, file) for file in files if file.section == section]
    if more:
        found["link"] = [{"relation": "next", "url": f"{root(ctx)}/bulk/exports/{export.id}?page={(page or 0) + 1}"}]
    return found


def _item(ctx: PluginContext, export: Bulk, file: File) -> dict[str, Any]:
    type_ = {"type": file.type} if file.type else {}
    return {**type_, "url": url_of(ctx, export, file), "count": file.count}


def import_manifest(ctx: PluginContext, found: Import) -> dict[str, Any]:
    """Return what an import came to: resources written by file, and files of OperationOutcomes about refused lines."""
    inputs = [(each, {"type": each.type} if each.type else {}) for each in found.inputs]
    return {
        "transactionTime": instant(found.finished),
        "request": found.request,
        "requiresAccessToken": found.token,
        "output": [
            {**type_, "inputUrl": each.url, "count": each.written, "refused": each.refused} for each, type_ in inputs
        ],
        "error": [_item(ctx, found, file) for file in found.errors],
    }


def match_manifest(ctx: PluginContext, found: Matching) -> dict[str, Any]:
    """Return the files of a bulk match."""
    sections = {
        section: [_item(ctx, found, file) for file in found.files if file.section == section]
        for section in ("output", "error")
    }
    head = {"transactionTime": instant(found.finished), "request": found.request, "requiresAccessToken": found.token}
    return {**head, **sections}


def url_of(ctx: PluginContext, export: Bulk, file: File) -> str:
    """Return where a file is; signed where no token is asked for, unless the server is open to everybody."""
    if export.token or not isinstance(export, Export) or ctx.settings.downloads == "token":
        return f"{root(ctx)}/bulk/files/{export.id}/{file.name}"
    until = export.expires // 1_000
    mark = signature(ctx, export.id, file.name, until)
    return f"{root(ctx)}/bulk/signed/{export.id}/{file.name}?until={until}&signature={mark}"


def signature(ctx: PluginContext, id_: str, name: str, until: int) -> str:
    """Return what only this server can sign the URL of a file with."""
    said = f"fhir bulk file 1\0{ctx.tenant}\0{id_}\0{name}\0{until}"
    return hmac.digest(ctx.core.link_secret, said.encode(), sha256).hex()
