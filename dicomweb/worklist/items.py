"""Worklist items: what is ordered (ServiceRequest) and booked (Appointment), as modalities ask for it.

A ServiceRequest that is active is an item; an Appointment based on it says when and where. It has the Study Instance
UID that the order names, or one that follows from its id, so that the images find back to it.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_K.6.html
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.settings import DicomSettings
from dicomweb.worklist import coding
from dicomweb.worklist.coding import el, first, sequence
from dicomweb.worklist.matching import matches
from fhir_server.plugin_api import FhirError, Forbidden, PluginContext, ResourceKey, TooCostly, decode

STEPS: Final = "00400100"
ACCESSION: Final = "00080050"
STUDY: Final = "0020000D"
_START_DATE: Final = "00400002"
_NAMESPACE: Final = uuid.UUID("b1f2cf47-7a9e-45f2-9b3e-6d2b9f7b6c1e")
_PRIORITIES: Final = {"stat": "STAT", "asap": "HIGH", "urgent": "HIGH", "routine": "MEDIUM"}
_BOOKED: Final = "proposed,pending,booked,arrived,checked-in"
_DAY: Final = 86_400_000
_WINDOW: Final = 500
_ACSN: Final = "ACSN"


@dataclass(slots=True)
class Order:
    """A ServiceRequest with what belongs to it."""

    request: Mapping[str, Any]
    patient: Mapping[str, Any] = field(default_factory=dict)
    appointments: list[Mapping[str, Any]] = field(default_factory=list)
    station: str = ""


async def scheduled(ctx: PluginContext, keys: DicomJson, most: int) -> list[DicomJson]:
    """Return the items that match, as far as the caller may see orders and patients.

    Raises:
        TooCostly: more than `most` match.
    """
    found: list[DicomJson] = []
    async for orders in _orders(ctx, keys):
        for order in orders:
            found += [item for item in items_of(ctx.settings, order) if matches(item, keys)]
            if len(found) > most:
                raise TooCostly(f"more than {most} items match: ask for less")
    return sorted(found, key=_when)


def _when(item: DicomJson) -> str:
    step = coding.items(item, STEPS)[0]
    return coding.text(step, _START_DATE) + coding.text(step, "00400003")


async def _orders(ctx: PluginContext, keys: DicomJson) -> AsyncIterator[list[Order]]:
    criteria = [("status", "active"), *_narrowed(ctx.settings, keys)]
    booked = await _booked(ctx, keys)
    if booked is not None:
        criteria.append(("_id", ",".join(booked)))
        if not booked:
            return
    page: list[Mapping[str, Any]] = []
    async for request in ctx.client.each("ServiceRequest", criteria):
        page.append(request)
        if len(page) >= _WINDOW:
            yield await _completed(ctx, page)
            page = []
    if page:
        yield await _completed(ctx, page)


def _narrowed(settings: DicomSettings, keys: DicomJson) -> list[tuple[str, str]]:
    """Return what of the keys a search can be narrowed by."""
    accession = coding.text(keys, ACCESSION)
    if accession and not set(accession) & set("*?"):
        system = f"{settings.accession_system}|" if settings.accession_system else ""
        return [("identifier", f"{system}{_escaped(accession)}")]
    return []


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")


async def _booked(ctx: PluginContext, keys: DicomJson) -> list[str] | None:
    """Return the ids of the orders whose time is asked for; None: all are to be looked at.

    Without a date, and nothing else that picks out an order, those of some days around today are meant.
    """
    steps = coding.items(keys, STEPS)
    asked = coding.text(steps[0], _START_DATE) if steps else ""
    picked = any(coding.text(keys, tag) for tag in (ACCESSION, STUDY, "00100020", "00401001"))
    if not asked and picked:
        return None
    low, high = _range(ctx, asked)
    days = [("date", f"{sign}{day}") for sign, day in (("ge", low), ("le", high)) if day]
    found: dict[str, None] = {}
    async for appointment in _appointments(ctx, days):
        for reference in appointment.get("basedOn") or ():
            found[str(reference.get("reference", "")).removeprefix("ServiceRequest/")] = None
    occurring = [("occurrence", value) for _, value in days]
    async for request in ctx.client.each("ServiceRequest", [("status", "active"), *occurring]):
        found[str(request["id"])] = None
    return list(found)


def _range(ctx: PluginContext, asked: str) -> tuple[str, str]:
    if asked:
        low, dash, high = asked.partition("-")
        return _day(low), _day(high if dash else low)
    today = datetime.fromtimestamp(ctx.now() / 1_000, UTC).date()
    days = timedelta(days=ctx.settings.dimse_worklist_days)
    return (today - days).isoformat(), (today + days).isoformat()


def _day(value: str) -> str:
    return coding.fhir_time(value[:8], "")


async def _completed(ctx: PluginContext, requests: Sequence[Mapping[str, Any]]) -> list[Order]:
    """Return orders with their patients and appointments; those whose patient may not be seen are left out."""
    orders = {str(request["id"]): Order(request) for request in requests}
    keys = {id_: _key("Patient", first(order.request, "subject", "reference")) for id_, order in orders.items()}
    patients = await ctx.client.versions_of([key for key in set(keys.values()) if key is not None])
    named = ",".join(f"ServiceRequest/{id_}" for id_ in orders)
    async for appointment in _appointments(ctx, [("based-on", named)]):
        for reference in appointment.get("basedOn") or ():
            id_ = str(reference.get("reference", "")).removeprefix("ServiceRequest/")
            if id_ in orders:
                orders[id_].appointments.append(appointment)
    found = []
    for id_, order in orders.items():
        key = keys[id_]
        version = patients.get(key) if key else None
        if version is not None:
            order.patient = decode(version.stamped())
            order.station = await _station(ctx, order)
            found.append(order)
    return found


async def _appointments(ctx: PluginContext, criteria: Sequence[tuple[str, str]]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield booked appointments; who may not see any sees orders without them."""
    try:
        async for appointment in ctx.client.each("Appointment", [("status", _BOOKED), *criteria]):
            yield appointment
    except Forbidden:
        return


def _key(type_: str, reference: object) -> ResourceKey | None:
    kind, _, id_ = str(reference or "").rpartition("/")
    return ResourceKey(type_, id_) if kind.endswith(type_) and id_ else None


async def _station(ctx: PluginContext, order: Order) -> str:
    """Return the AE title of the Device that is to do it."""
    performers = list(order.request.get("performer") or ())
    actors = [part.get("actor") or {} for each in order.appointments for part in each.get("participant") or ()]
    for reference in [*actors, *performers]:
        identifier = reference.get("identifier") or {}
        if identifier.get("system") == coding.AE_TITLES:
            return str(identifier.get("value", ""))
        key = _key("Device", reference.get("reference"))
        device = await _seen(ctx, key) if key else None
        for each in (device or {}).get("identifier") or ():
            if each.get("system") == coding.AE_TITLES:
                return str(each.get("value", ""))
    return ""


async def _seen(ctx: PluginContext, key: ResourceKey) -> Mapping[str, Any] | None:
    try:
        return await ctx.client.find(key.type, key.id)
    except FhirError:
        return None


def items_of(settings: DicomSettings, order: Order) -> list[DicomJson]:
    """Return the items of an order: one for each appointment, or one."""
    return [_item(settings, order, each) for each in order.appointments or [{}]]


def _item(settings: DicomSettings, order: Order, appointment: Mapping[str, Any]) -> DicomJson:
    request, procedure = order.request, coding.codes(order.request.get("code"))
    said = str(first(request, "code", "text") or first(request, "code", "coding", "display") or "")[:64]
    told = {
        ACCESSION: el("SH", accession_of(settings, request)),
        "00080090": el("PN", _person(request.get("requester"))),
        "0020000D": el("UI", study_of(request)),
        "00321060": el("LO", said),
        "00321064": sequence(*procedure),
        "00400100": sequence(_step(order, appointment, said, procedure)),
        "00401001": el("SH", request_id(settings, request)),
        "00401003": el("SH", _PRIORITIES.get(str(request.get("priority", "routine")), "MEDIUM")),
        "00402016": el("LO", coding.short(first(request, "requisition", "value"), 64)),
        "00321033": el("LO", ""),
        "00380010": el("LO", ""),
        "00081110": sequence(),
    }
    return {**told, **_patient(settings, order.patient)}


def _step(order: Order, appointment: Mapping[str, Any], said: str, procedure: Sequence[Mapping[str, Any]]) -> DicomJson:
    request = order.request
    start = appointment.get("start") or request.get("occurrenceDateTime") or first(request, "occurrencePeriod", "start")
    concepts = [*(request.get("orderDetail") or ()), *(appointment.get("serviceType") or ()), request.get("code")]
    concepts += list(request.get("category") or ())
    return {
        "00080060": el("CS", coding.modality(*concepts)),
        "00400001": el("AE", order.station),
        "00400002": el("DA", coding.date(start)),
        "00400003": el("TM", coding.time(start)),
        "00400006": el("PN", ""),
        "00400007": el("LO", said),
        "00400008": sequence(*procedure),
        "00400009": el("SH", coding.short(appointment.get("id") or request["id"])),
        "00400010": el("SH", ""),
        "00400011": el("SH", ""),
        "00400012": el("LO", ""),
        "00400020": el("CS", "ARRIVED" if appointment.get("status") in ("arrived", "checked-in") else "SCHEDULED"),
    }


def _patient(settings: DicomSettings, patient: Mapping[str, Any]) -> DicomJson:
    value, issuer = patient_id(settings, patient)
    return {
        "00100010": el("PN", coding.person_name(patient.get("name"))),
        "00100020": el("LO", value),
        "00100021": el("LO", issuer),
        "00100030": el("DA", coding.date(patient.get("birthDate"))),
        "00100040": el("CS", coding.sex(patient.get("gender"))),
        "00101030": el("DS", ""),
        "00102000": el("LO", ""),
        "001021C0": el("US"),
        "00102110": el("LO", ""),
        "00380050": el("LO", ""),
        "00380300": el("LO", ""),
        "00380500": el("LO", ""),
        "00401002": el("LO", ""),
    }


def patient_id(settings: DicomSettings, patient: Mapping[str, Any]) -> tuple[str, str]:
    """Return Patient ID and its issuer: an identifier whose system is that of an issuer, before any other."""
    issuer_of = {system: issuer for issuer, system in settings.issuers.items()}
    there = [each for each in patient.get("identifier") or () if each.get("value") and each.get("use") != "old"]
    known = [each for each in there if each.get("system") in issuer_of]
    for each in known:
        return str(each["value"])[:64], issuer_of[each["system"]]
    for each in there:
        return str(each["value"])[:64], str(each.get("system", ""))[:64]
    return "", ""


def accession_of(settings: DicomSettings, request: Mapping[str, Any]) -> str:
    """Return the accession number of an order: the identifier of that system, or of that type."""
    for each in request.get("identifier") or ():
        types = [str(one.get("code")) for one in (each.get("type") or {}).get("coding") or ()]
        named = settings.accession_system and each.get("system") == settings.accession_system
        if (named or _ACSN in types) and len(str(each.get("value", ""))) <= 16:
            return str(each.get("value", ""))
    if settings.accession_system:
        return ""
    values = [
        str(each.get("value", "")) for each in request.get("identifier") or () if each.get("system") != coding.UIDS
    ]
    return next((value for value in values if 0 < len(value) <= 16), "")


def request_id(settings: DicomSettings, request: Mapping[str, Any]) -> str:
    """Return the Requested Procedure ID: the accession number, or the id of the order as far as it fits."""
    return accession_of(settings, request) or coding.short(request["id"])


def study_of(request: Mapping[str, Any]) -> str:
    """Return the Study Instance UID of an order."""
    for each in request.get("identifier") or ():
        if each.get("system") == coding.UIDS:
            return str(each.get("value", "")).removeprefix("urn:oid:")
    return f"2.25.{uuid.uuid5(_NAMESPACE, str(request['id'])).int}"


def _person(reference: Mapping[str, Any] | None) -> str:
    """Return who is referred to, as the reference itself says: `Ada Lovelace` as `Lovelace^Ada`."""
    words = str((reference or {}).get("display", "")).replace("^", " ").replace("\\", " ").split()
    return "^".join((words[-1], " ".join(words[:-1]))).rstrip("^") if words else ""
