"""Promises: what other archives were asked to keep of what we sent them, until they say whether they do."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from dicomweb.dimse.outbox import Errand, forget_errand, queue_errand
from dicomweb.model.values import DicomJson, Instance
from dicomweb.worklist.coding import el, items, sequence, text
from dicomweb.worklist.commitments import FAILED, REFERENCED, TRANSACTION
from fhir_server.plugin_api import Collection, Host, PluginContext, RecordChange

PROMISES: Final = Collection("dicomweb.promises")
SENT: Final = Collection("dicomweb.sent")
"""Which instances of a study went to an AE by a rule: `rule|AE|study`, the ends of their UIDs' digests."""


async def promise(ctx: PluginContext, transaction: str, errand: Errand, instances: Sequence[Instance]) -> None:
    """Remember what is about to be asked."""
    named = [[each.sop_class, each.sop] for each in instances]
    value = {"to": errand.to, "study": errand.subject, "rule": errand.rule, "instances": named}
    await ctx.store.put(RecordChange(PROMISES.name, transaction, value))


async def asked_of(ctx: PluginContext, transaction: str) -> DicomJson | None:
    """Return the request of a promise as a data set; None: it has been answered."""
    record = await ctx.store.get(PROMISES.name, transaction)
    if record is None:
        return None
    named: Any = record.value["instances"]
    references = [{"00081150": el("UI", sop_class), "00081155": el("UI", uid)} for sop_class, uid in named]
    return {TRANSACTION: el("UI", transaction), REFERENCED: sequence(*references)}


async def note_promise(host: Host, tenant: str, title: str, said: DicomJson) -> bool:
    """Note what an AE says; what it does not have is sent again. Return whether it was asked."""
    ctx = await host.context(tenant)
    transaction = text(said, TRANSACTION)
    record = await ctx.store.get(PROMISES.name, transaction)
    if record is None or record.value["to"] != title:
        return False
    value: Mapping[str, Any] = record.value
    failed = [text(item, "00081155") for item in items(said, FAILED)]
    if failed:
        again = Errand("forward", title, value["study"], value["rule"])
        await unsend(ctx, again, failed)
        await queue_errand(ctx, again, after=host.settings.dimse_pause)
    await ctx.store.put(RecordChange(PROMISES.name, transaction, None))
    await forget_errand(ctx, Errand("commit", title, transaction, value["rule"]))
    return True


async def sent_of(ctx: PluginContext, errand: Errand) -> set[str]:
    """Return which instances of a study went to an AE by a rule."""
    record = await ctx.store.get(SENT.name, _key(errand))
    found: Any = record.value["sent"] if record else ""
    return set(str(found).split())


async def note_sent(ctx: PluginContext, errand: Errand, sent: set[str]) -> None:
    """Remember them."""
    await ctx.store.put(RecordChange(SENT.name, _key(errand), {"sent": " ".join(sorted(sent))}))


async def unsend(ctx: PluginContext, errand: Errand, uids: Sequence[str]) -> None:
    """Forget that some went."""
    await note_sent(ctx, errand, await sent_of(ctx, errand) - {mark(uid) for uid in uids})


def _key(errand: Errand) -> str:
    return f"{errand.rule}|{errand.to}|{errand.subject}"


def mark(uid: str) -> str:
    """Return a UID as it stands in the list: short, and told apart from all of one study."""
    return blake2b(uid.encode(), digest_size=8).hexdigest()
