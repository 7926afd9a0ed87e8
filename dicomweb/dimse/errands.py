"""What the outbox does: forwards studies, asks that they be kept, reports what we keep, fetches priors."""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Final

from dicomweb.dimse import asking, sending
from dicomweb.dimse.calling import call_ae
from dicomweb.dimse.catalog import COMMITMENT, PLAIN, STUDY_FIND, STUDY_GET, STUDY_MOVE
from dicomweb.dimse.outbox import Errand, NotYet, Outbox, Work, queue_errand
from dicomweb.dimse.promises import asked_of, mark, note_promise, note_sent, promise, sent_of
from dicomweb.dimse.rules import order_of, priors_of
from dicomweb.dimse.table import Ae, Forward
from dicomweb.dimse.tables import tables_of
from dicomweb.dimse.wire.association import Message
from dicomweb.dimse.wire.dataset import element, text
from dicomweb.dimse.wire.negotiation import Role
from dicomweb.doors import archive
from dicomweb.model.archive import Group
from dicomweb.model.values import Incoming, Instance, Query, Source
from dicomweb.worklist.commitments import COMMITMENTS
from fhir_server.plugin_api import Host, PluginContext

_HOUR: Final = 3_600.0
_MODALITY: Final = "00080060"
_STORED: Final = 100
"""Storage classes that can be proposed beside the query, of 128 contexts."""


async def forward(host: Host, ctx: PluginContext, ae: Ae, errand: Errand) -> None:
    """Send what an AE does not have yet of a study. Raises Ended, NotYet."""
    rule = next((each for each in tables_of(host).now.forward if each.name == errand.rule), None)
    sent = await sent_of(ctx, errand)
    wanted = [each for each in await _wanted(ctx, errand.subject, rule) if mark(each.sop) not in sent]
    if not wanted:
        return
    association = await call_ae(host, ae, sending.proposals(wanted))
    failed = 0
    try:
        for instance in wanted:
            done = await sending.send(ctx, association, instance)
            if done.failed:
                failed += 1
            else:
                sent.add(mark(instance.sop))
        await association.release()
    finally:
        await association.close()
        await note_sent(ctx, errand, sent)
    there = [each for each in wanted if mark(each.sop) in sent]
    if rule is not None and rule.commit and there:
        await _promised(ctx, errand, there)
    if failed:
        raise NotYet(f"{failed} of {len(wanted)} objects were not taken")


async def _wanted(ctx: PluginContext, study: str, rule: Forward | None) -> list[Instance]:
    """Return the instances of a study that a rule is for."""
    instances = await archive(ctx).select(ctx, {"study": study})
    if rule is None:
        return instances
    if rule.modalities:
        query = Query("series", {_MODALITY: "\\".join(rule.modalities)}, within={"study": study})
        found = await archive(ctx).find(ctx, query)
        series = {text(row, "0020000E") for row in found.rows}
        instances = [each for each in instances if each.series in series]
    return [each for each in instances if not rule.from_ or source_of(each) in rule.from_]


def source_of(instance: Instance) -> str:
    """Return the AE title that an instance came from; empty: it came otherwise."""
    return str(instance.record.get("ae", ""))


async def _promised(ctx: PluginContext, errand: Errand, instances: list[Instance]) -> None:
    transaction = f"2.25.{uuid.uuid4().int}"
    await promise(ctx, transaction, errand, instances)
    await queue_errand(ctx, Errand("commit", errand.to, transaction, errand.rule))


async def commit(host: Host, ctx: PluginContext, ae: Ae, errand: Errand) -> None:
    """Ask an AE to keep what it got. It may answer at once, or call us; until it does it is asked again."""
    asked = await asked_of(ctx, errand.subject)
    if asked is None:
        return
    association = await call_ae(host, ae, [(COMMITMENT, PLAIN)])
    try:
        said = await asking.ask_commitment(association, asked)
        if said is not None:
            await note_promise(host, ctx.tenant, ae.title, said)
        await association.release()
    finally:
        await association.close()
    if await asked_of(ctx, errand.subject) is not None:
        raise NotYet("it has not said yet what it keeps", _HOUR)


async def report(host: Host, ctx: PluginContext, ae: Ae, errand: Errand) -> None:
    """Tell an AE what we keep of what it asked about. Raises Ended, asking.Failed."""
    record = await ctx.store.get(COMMITMENTS.name, errand.subject)
    if record is None:
        return
    association = await call_ae(host, ae, [(COMMITMENT, PLAIN)], [Role(COMMITMENT, user=False, provider=True)])
    try:
        event, data = record.value["event"], record.value["data"]
        assert isinstance(event, int)
        assert isinstance(data, Mapping)
        await asking.report_commitment(association, event, data)
        await association.release()
    finally:
        await association.close()


async def prefetch(host: Host, ctx: PluginContext, ae: Ae, errand: Errand) -> None:
    """Bring the earlier studies of a patient to where they will be wanted: to an AE, or from one to us."""
    rule = next((each for each in tables_of(host).now.prefetch if each.name == errand.rule), None)
    order = await order_of(ctx, errand.subject) if rule else None
    if rule is None or order is None:
        return
    if rule.to:
        for study in await priors_of(ctx, order, rule.modalities, rule.most):
            await queue_errand(ctx, Errand("forward", ae.title, study, f"prefetch {rule.name}"))
        return
    for study in await _theirs(host, ae, order.patient_ids, rule.modalities, rule.most):
        if not await archive(ctx).select(ctx, {"study": study}):
            await _fetch(host, ctx, ae, study)


async def _theirs(
    host: Host, ae: Ae, ids: tuple[tuple[str, str], ...], modalities: tuple[str, ...], most: int
) -> list[str]:
    """Return the newest studies of a patient at an AE."""
    association = await call_ae(host, ae, [(STUDY_FIND, PLAIN)])
    found: dict[str, str] = {}
    try:
        for value, issuer in ids:
            keys = {
                "00080052": element("CS", "STUDY"), "00100020": element("LO", value),
                "00100021": element("LO", issuer), "0020000D": {"vr": "UI"}, "00080020": {"vr": "DA"},
                "00080061": element("CS", *modalities),
            }  # fmt: skip
            async for row in asking.find(association, STUDY_FIND, keys):
                answered = text(row, "00100021")
                if text(row, "00100020") == value and answered in ("", issuer):
                    found[text(row, "0020000D")] = text(row, "00080020")
        await association.release()
    finally:
        await association.close()
    return sorted(found, key=lambda uid: found[uid], reverse=True)[:most]


async def _fetch(host: Host, ctx: PluginContext, ae: Ae, study: str) -> None:
    identifier = {"00080052": element("CS", "STUDY"), "0020000D": element("UI", study)}
    if not ae.get:
        association = await call_ae(host, ae, [(STUDY_MOVE, PLAIN)])
        try:
            await asking.move(association, STUDY_MOVE, host.settings.dimse_title, identifier)
            await association.release()
        finally:
            await association.close()
        return
    classes = await _classes(host, ae, study)
    proposed = [(STUDY_GET, PLAIN), *((each, PLAIN) for each in classes[:_STORED])]
    association = await call_ae(host, ae, proposed, [Role(each, provider=True) for each in classes[:_STORED]])
    group = archive(ctx).begin(ctx, Source("c-store", ae.title, host.settings.dimse_title, ae.host))
    try:
        await asking.get(association, STUDY_GET, identifier, partial(_take, ctx, group))
        await association.release()
    finally:
        await association.close()
        await archive(ctx).end(ctx, group)


async def _take(ctx: PluginContext, group: Group, message: Message) -> int:
    incoming = Incoming(
        message.chunks(), message.context.transfer, message.text("AffectedSOPClassUID"),
        message.text("AffectedSOPInstanceUID"),
    )  # fmt: skip
    outcome = await archive(ctx).receive(ctx, group, incoming)
    return outcome.status


async def _classes(host: Host, ae: Ae, study: str) -> list[str]:
    """Return the classes of a study's objects at an AE: it can only send what was proposed."""
    association = await call_ae(host, ae, [(STUDY_FIND, PLAIN)])
    found: dict[str, None] = {}
    try:
        series_keys = {
            "00080052": element("CS", "SERIES"), "0020000D": element("UI", study), "0020000E": {"vr": "UI"}
        }  # fmt: skip
        series = [text(row, "0020000E") async for row in asking.find(association, STUDY_FIND, series_keys)]
        for each in series:
            keys = {
                "00080052": element("CS", "IMAGE"), "0020000D": element("UI", study),
                "0020000E": element("UI", each), "00080016": {"vr": "UI"}, "00080018": {"vr": "UI"},
            }  # fmt: skip
            async for row in asking.find(association, STUDY_FIND, keys):
                found[text(row, "00080016")] = None
        await association.release()
    finally:
        await association.close()
    return [uid for uid in found if uid]


WORK: Final[Mapping[str, Work]] = {"forward": forward, "commit": commit, "report": report, "prefetch": prefetch}


async def work(host: Host) -> None:
    """Work on the outbox, until cancelled."""
    await Outbox(host, WORK).run()
