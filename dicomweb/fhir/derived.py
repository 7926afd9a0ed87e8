"""Reports and documents among the objects: DiagnosticReport of structured reports, Media of documents and videos.

They follow the ImagingStudy by the change feed, so that no request waits for them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from dicomweb.fhir.imaging_study import instant_of
from dicomweb.index.collections import CONTENTS, DERIVED, HEADERS, STUDIES
from dicomweb.index.reading import below
from dicomweb.index.rows import unpacked
from dicomweb.ingest.facts import first
from dicomweb.model.values import DicomJson
from fhir_server.plugin_api import FeedChange, PluginContext, RecordChange, Where, decode

_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."
_NO_REPORTS: Final = frozenset((f"{_REPORTS}40", f"{_REPORTS}59", f"{_REPORTS}67", f"{_REPORTS}68", f"{_REPORTS}75"))
"""Logs, key objects, dose and contrast reports: they are of the apparatus."""
_DOCUMENTS: Final = {
    "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf", "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
    "1.2.840.10008.5.1.4.1.1.77.1.1.1": "video/mp4", "1.2.840.10008.5.1.4.1.1.77.1.2.1": "video/mp4",
    "1.2.840.10008.5.1.4.1.1.77.1.4.1": "video/mp4",
}  # fmt: skip
_SYSTEM: Final = "urn:dicom:uid"
_SCHEMES: Final = {"LN": "http://loinc.org", "SCT": "http://snomed.info/sct", "SRT": "http://snomed.info/srt"}
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_MOST_TEXT: Final = 20_000


async def derive(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Write what follows from the objects of changed studies, each once."""
    for change in changes:
        found = await ctx.store.find(STUDIES.name, [Where("imaging_study", "=", change.key.id)], limit=1)
        if not found or change.row.deleted:
            continue
        study = decode(change.row.stamped())
        for key, sop_class in await _candidates(ctx, found[0].key):
            await _one(ctx, key, sop_class, study)


async def _candidates(ctx: PluginContext, study: str) -> list[tuple[str, str]]:
    """Return keys and classes of the instances that something follows from."""
    return [
        (f"{record.key}/{sop}", str(short[0]))
        for record in await below(ctx, CONTENTS, f"{study}/")
        for sop, short in dict(record.value["i"]).items()  # type: ignore[call-overload]
        if _is_report(str(short[0])) or str(short[0]) in _DOCUMENTS
    ]


def _is_report(sop_class: str) -> bool:
    return sop_class.startswith(_REPORTS) and sop_class not in _NO_REPORTS


async def _one(ctx: PluginContext, key: str, sop_class: str, study: dict[str, Any]) -> None:
    subject = study.get("subject", {}).get("reference", "")
    done = await ctx.store.get(DERIVED.name, key)
    if done is not None and done.value.get("subject") == subject:
        return
    record = await ctx.store.get(HEADERS.name, key)
    if record is None:
        return
    header: DicomJson = msgspec.json.decode(unpacked(str(record.value["z"])))
    resource = report(header, study) if _is_report(sop_class) else media(header, study, key, sop_class, _root(ctx))
    named = f"identifier={_SYSTEM}|urn:oid:{key.rsplit('/', 1)[1]}"
    made = await ctx.own.create(resource, if_none_exist=named)
    if made.get("subject") != resource["subject"]:
        await ctx.own.update({**made, "subject": resource["subject"]})
    await ctx.store.put(
        RecordChange(DERIVED.name, key, {"subject": subject, "of": f"{made['resourceType']}/{made['id']}"})
    )


def _root(ctx: PluginContext) -> str:
    return f"{ctx.base.removesuffix('/fhir')}/dicomweb" if ctx.base.startswith("http") else "/dicomweb"


def report(header: DicomJson, study: dict[str, Any]) -> dict[str, Any]:
    """Return the DiagnosticReport of a structured report. It is final only where the report says it is verified."""
    verified = str(first(header, "0040A493")) == "VERIFIED"
    complete = str(first(header, "0040A491")) == "COMPLETE"
    text = "\n".join(_lines(header, 0))[:_MOST_TEXT]
    made = {
        "resourceType": "DiagnosticReport",
        "identifier": [_identifier(header)],
        "status": "final" if verified and complete else "preliminary" if complete else "partial",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "IMG"}]}],
        "code": _concept(first(header, "0040A043", {})),
        "subject": study["subject"],
        "imagingStudy": [{"reference": f"ImagingStudy/{study['id']}"}],
        "effectiveDateTime": instant_of(first(header, "00080023"), first(header, "00080033")),
        "conclusion": text,
        "basedOn": study.get("basedOn"),
    }
    return {key: value for key, value in made.items() if value}


def media(header: DicomJson, study: dict[str, Any], key: str, sop_class: str, root: str) -> dict[str, Any]:
    """Return the Media of a document or a video: where it is, not what it holds."""
    uid, series, sop = key.split("/")
    kind = str(first(header, "00420012")) or _DOCUMENTS[sop_class]
    path = "bulkdata/00420011" if "00420011" in header else "rendered"
    made = {
        "resourceType": "Media",
        "identifier": [_identifier(header)],
        "status": "completed",
        "subject": study["subject"],
        "createdDateTime": instant_of(first(header, "00080023"), first(header, "00080033")),
        "content": {
            "contentType": kind,
            "url": f"{root}/studies/{uid}/series/{series}/instances/{sop}/{path}",
            "title": str(first(header, "00420010")) or None,
        },
        "partOf": None,
        "note": [{"text": f"an object of ImagingStudy/{study['id']}"}],
    }
    made["content"] = {name: value for name, value in made["content"].items() if value}
    return {name: value for name, value in made.items() if value}


def _identifier(header: DicomJson) -> dict[str, str]:
    return {"system": _SYSTEM, "value": f"urn:oid:{first(header, '00080018')}"}


def _concept(item: Any) -> dict[str, Any]:
    if not item:
        return {"text": "structured report"}
    scheme = str(first(item, "00080102"))
    system = _SCHEMES.get(scheme, _DCM if scheme == "DCM" else "")
    coding = {"system": system, "code": str(first(item, "00080100")), "display": str(first(item, "00080104"))}
    text = str(first(item, "00080104")) or "structured report"
    return {"coding": [coding], "text": text} if system and coding["code"] else {"text": text}


def _lines(item: DicomJson, depth: int) -> Iterator[str]:
    """Yield the content of a report as lines: names and values of its tree."""
    for child in (item.get("0040A730", {}).get("Value") or []) if depth < 20 else ():
        name = str(first(first(child, "0040A043", {}), "00080104"))
        value = _value(child)
        if value:
            yield f"{'  ' * depth}{name}: {value}" if name else f"{'  ' * depth}{value}"
        elif name and child.get("0040A730"):
            yield f"{'  ' * depth}{name}"
        yield from _lines(child, depth + 1)


def _value(item: DicomJson) -> str:
    kind = str(first(item, "0040A040"))
    if kind == "TEXT":
        return str(first(item, "0040A160"))
    if kind == "CODE":
        return str(first(first(item, "0040A168", {}), "00080104"))
    if kind == "NUM":
        measured = first(item, "0040A300", {})
        unit = str(first(first(measured, "004008EA", {}), "00080100"))
        return f"{first(measured, '0040A30A')} {unit}".strip() if measured else ""
    if kind == "PNAME":
        name = first(item, "0040A123", {})
        return str(name.get("Alphabetic", "")).replace("^", " ").strip() if isinstance(name, dict) else ""
    return {"DATE": str(first(item, "0040A121")), "UIDREF": str(first(item, "0040A124"))}.get(kind, "")
