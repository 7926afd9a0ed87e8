"""Rules of forwarding and prefetching: what of the record sets them off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomweb.dimse.outbox import Errand, queue_errand
from dicomweb.dimse.promises import SENT
from dicomweb.dimse.table import Forward, Prefetch
from dicomweb.dimse.tables import tables_of
from dicomweb.worklist import coding
from dicomweb.worklist.items import study_of
from fhir_server.plugin_api import Consumer, FeedChange, PluginContext, RecordChange, decode

_MOST_PRIORS: Final = 200


@dataclass(frozen=True, slots=True)
class Order:
    """What prefetching has to know of an order: for whom, by which ids (with issuers), and its own study."""

    id: str
    patient: str
    patient_ids: tuple[tuple[str, str], ...]
    modality: str
    study: str


async def _studies(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Queue what is to be forwarded of studies that have changed."""
    rules = [rule for rule in tables_of(ctx).now.forward if rule.tenant == ctx.tenant]
    if not rules:
        return
    for change in changes:
        if change.method == "deleted":
            continue
        study = decode(change.body)
        uid = uid_of(study)
        for rule in rules:
            if uid and _fits(rule, study):
                await queue_errand(ctx, Errand("forward", rule.to, uid, rule.name))


def uid_of(study: Mapping[str, Any]) -> str:
    """Return the Study Instance UID of an ImagingStudy; empty: it has none."""
    for each in study.get("identifier") or ():
        if each.get("system") == coding.UIDS:
            return str(each.get("value", "")).removeprefix("urn:oid:")
    return ""


def _fits(rule: Forward, study: Mapping[str, Any]) -> bool:
    there = {str(each.get("code")) for each in study.get("modality") or ()}
    there |= {str((each.get("modality") or {}).get("code")) for each in study.get("series") or ()}
    return not rule.modalities or bool(there & set(rule.modalities))


async def _orders(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Queue what is to be prefetched for orders, once for each."""
    rules = [rule for rule in tables_of(ctx).now.prefetch if rule.tenant == ctx.tenant]
    if not rules:
        return
    for change in changes:
        request = decode(change.body) if change.method != "deleted" else {}
        if request.get("status") == "active":
            for rule in rules:
                await _prefetch(ctx, rule, request)


async def _prefetch(ctx: PluginContext, rule: Prefetch, request: Mapping[str, Any]) -> None:
    modality = modality_of(request)
    if rule.modalities and modality not in rule.modalities:
        return
    key = f"prefetch {rule.name}|{request['id']}"
    if await ctx.store.get(SENT.name, key) is None:
        await queue_errand(ctx, Errand("prefetch", rule.to or rule.source, str(request["id"]), rule.name))
        await ctx.store.put(RecordChange(SENT.name, key, {"sent": ""}))


def modality_of(request: Mapping[str, Any]) -> str:
    """Return the modality of an order; empty: it names none."""
    return coding.modality(*(request.get("orderDetail") or ()), request.get("code"), *(request.get("category") or ()))


async def order_of(ctx: PluginContext, id_: str) -> Order | None:
    """Return an order that is still there, with its patient."""
    request = await ctx.own.find("ServiceRequest", id_)
    reference = str(coding.first(request or {}, "subject", "reference") or "")
    patient = await ctx.own.find("Patient", reference.removeprefix("Patient/")) if reference else None
    if request is None or patient is None:
        return None
    issuer_of = {system: issuer for issuer, system in ctx.settings.issuers.items()}
    ids = tuple(
        (str(each["value"]), issuer_of.get(str(each.get("system", "")), ""))
        for each in patient.get("identifier") or ()
        if each.get("value") and (each.get("system") in issuer_of or not issuer_of)
    )
    return Order(id_, str(patient["id"]), ids, modality_of(request), study_of(request))


async def priors_of(ctx: PluginContext, order: Order, modalities: Sequence[str], most: int) -> list[str]:
    """Return the newest studies that we have of the patient of an order."""
    criteria = [("patient", f"Patient/{order.patient}"), ("status", "available"), ("_sort", "-started")]
    if modalities:
        criteria.append(("modality", ",".join(modalities)))
    found: list[str] = []
    looked = 0
    async for study in ctx.own.each("ImagingStudy", criteria):
        looked += 1
        uid = uid_of(study)
        if uid and uid != order.study:
            found.append(uid)
        if len(found) >= most or looked >= _MOST_PRIORS:
            break
    return found[:most]


CONSUMERS = (
    Consumer("dicomweb.forward", _studies, types=("ImagingStudy",)),
    Consumer("dicomweb.prefetch", _orders, types=("ServiceRequest",)),
)
