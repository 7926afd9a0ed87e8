"""`$export-subject`: all that is held about a patient, for programs and for people.

Spec: GDPR Articles 15 and 20, https://eur-lex.europa.eu/eli/reg/2016/679/oj
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.errors import BadValue, Gone, NotFound
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.version import instant
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.privacy.page import page
from fhir_server.privacy.subject import Package, Wanted, collect

_FORMATS: Final = ("bundle", "zip", "html")


async def _run(ctx: Context, call: Call) -> Outputs | FhirResponse:
    """Answer with a Bundle, a ZIP of NDJSON files and a page, or the page alone.

    Raises:
        NotFound: there is no such patient, or none that the caller may see.
        Gone: the patient was deleted.
    """
    key = call.request.key
    patient = await ctx.store.read(key)
    if patient is None or not await visible(ctx, patient):
        raise NotFound(f"there is no {key}", expression="http.url")
    if patient.deleted:
        raise Gone(f"{key} was deleted as version {patient.version}", expression="http.url")
    format_ = call.inputs.one("format", "bundle")
    if format_ not in _FORMATS:
        raise BadValue(f"format: {format_[:40]!r} is none of {', '.join(_FORMATS)}", expression="http.format")
    inputs = call.inputs
    package = await collect(ctx, Wanted(key.id, inputs.one("history", False), inputs.one("audit", True)))
    if format_ == "bundle":
        return Outputs([("return", _bundle(ctx, package))])
    text = page([decode(data) for _, data in package.items], instant(ctx.now())).encode()
    if format_ == "html":
        return FhirResponse(200, (text,), media_type="text/html; charset=utf-8")
    name = {"content-disposition": f'attachment; filename="{key.type}-{key.id}.zip"'}
    return FhirResponse(200, (_zip(ctx, package, text),), headers=name, media_type="application/zip")


def _bundle(ctx: Context, package: Package) -> bytes:
    head = {"resourceType": "Bundle", "id": ctx.new_id(), "type": "collection", "timestamp": instant(ctx.now())}
    entries = b",".join(b'{"fullUrl":%b,"resource":%b}' % (encode(url), data) for url, data in package.items)
    return encode(head)[:-1] + b',"entry":[' + entries + b"]}"


def _zip(ctx: Context, package: Package, text: bytes) -> bytes:
    """Return one NDJSON file for each type, index.html and manifest.json."""
    files: dict[str, list[bytes]] = {}
    for url, data in package.items:
        files.setdefault(_type_of(ctx, url), []).append(data)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.html", text)
        for type_, lines in sorted(files.items()):
            archive.writestr(f"{type_}.ndjson", b"\n".join(lines) + b"\n")
        archive.writestr("manifest.json", encode(_manifest(ctx, package, {t: len(f) for t, f in files.items()})))
    return out.getvalue()


def _manifest(ctx: Context, package: Package, counts: Mapping[str, int]) -> dict[str, Any]:
    output = [{"type": type_, "url": f"{type_}.ndjson", "count": count} for type_, count in sorted(counts.items())]
    return {"transactionTime": instant(ctx.now()), "output": output, "withheld": package.withheld}


def _type_of(ctx: Context, url: str) -> str:
    return url.removeprefix(f"{ctx.base}/").partition("/")[0]


export_subject = CoreOperation(
    facts=own("export-subject"),
    handler=_run,
    summary="All that is held about a patient, as a Bundle, a ZIP of NDJSON, or a page for people.",
)
