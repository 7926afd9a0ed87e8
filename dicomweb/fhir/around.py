"""What the record has around a study: the order that it answers, and the Endpoint where its objects are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dicomweb.fhir.imaging_study import Around
from fhir_server.plugin_api import FhirError, PluginContext

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_SYSTEM = "urn:fhir-server:dicomweb"


async def around_of(
    ctx: PluginContext, row: Mapping[str, Any], patient: str, before: Mapping[str, Any] | None,
    settings: "DicomSettings",
) -> Around:  # fmt: skip
    """Look for what an ImagingStudy refers to, unless it does already."""
    known = str((before or {}).get("subject", {}).get("reference", "")).removeprefix("Patient/")
    whose = known or patient
    orders: tuple[str, ...] = ()
    if not (before or {}).get("basedOn") and whose and row.get("accession"):
        orders = await _orders(ctx, str(row["accession"]), whose, settings.accession_system)
    endpoint = "" if (before or {}).get("endpoint") else await endpoint_of(ctx)
    return Around(whose, endpoint, orders)


async def _orders(ctx: PluginContext, accession: str, patient: str, system: str) -> tuple[str, ...]:
    """Return the one order of the patient with an accession number; none where several have it."""
    escaped = accession.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")
    token = f"{system}|{escaped}" if system else escaped
    found = [
        str(each["id"])
        async for each in ctx.own.each("ServiceRequest", {"identifier": token, "subject": f"Patient/{patient}"})
    ]
    return tuple(found) if len(found) == 1 else ()


async def endpoint_of(ctx: PluginContext) -> str:
    """Return the id of this tenant's Endpoint of WADO-RS, written when it is first needed; empty where its URL is not
    known yet, as in work that no request has asked for."""
    base = ctx.base or (ctx.core.settings.base_url.rstrip("/") if ctx.tenant == "default" else "")
    address = f"{base.removesuffix('/fhir')}/dicomweb"
    key = f"endpoint {ctx.tenant} {address}"
    if not base.startswith("http") or key in ctx.shared:
        return str(ctx.shared.get(key, ""))
    identifier = {"system": _SYSTEM, "value": address}
    try:
        made = await ctx.own.create(
            {
                "resourceType": "Endpoint",
                "identifier": [identifier],
                "status": "active",
                "connectionType": {
                    "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
                    "code": "dicom-wado-rs",
                },
                "name": "DICOMweb",
                "payloadType": [{"text": "DICOM"}],
                "payloadMimeType": ["application/dicom"],
                "address": address,
            },
            if_none_exist=f"identifier={_SYSTEM}|{address}",
        )
    except FhirError:
        return ""
    ctx.shared[key] = str(made["id"])
    return str(made["id"])
