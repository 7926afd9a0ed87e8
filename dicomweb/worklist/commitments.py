"""Storage commitment: which of the objects that somebody names we hold and keep.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/chapter_J.html
"""

from dataclasses import dataclass
from typing import Any, Final

from dicomweb.dimse import status as codes
from dicomweb.doors import archive
from dicomweb.model.values import DicomJson
from dicomweb.worklist.coding import el, items, sequence, text
from fhir_server.plugin_api import Collection, PluginContext, Record, RecordChange, RecordField

COMMITMENTS: Final = Collection("dicomweb.commitments", (RecordField("made", "integer"), RecordField("owner")))
TRANSACTION: Final = "00081195"
REFERENCED: Final = "00081199"
FAILED: Final = "00081198"
_CLASS, _INSTANCE, _REASON = "00081150", "00081155", "00081197"
_MOST: Final = 50_000
DUPLICATE_TRANSACTION: Final = 0x0131


class CommitmentRefused(Exception):
    """A request that is none: its DIMSE status, and why."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is held of what was asked for; failures with their reason."""

    transaction: str
    held: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, int], ...]

    @property
    def event(self) -> int:
        """The type of the N-EVENT-REPORT: 1 all is held, 2 something is not."""
        return 2 if self.failed else 1

    def data(self, title: str) -> DicomJson:
        """Return it as a data set."""
        told = {TRANSACTION: el("UI", self.transaction), "00080054": el("AE", title)}
        if self.held:
            told[REFERENCED] = sequence(
                *({_CLASS: el("UI", name), _INSTANCE: el("UI", uid)} for name, uid in self.held)
            )
        if self.failed:
            told[FAILED] = sequence(
                *(
                    {_CLASS: el("UI", name), _INSTANCE: el("UI", uid), _REASON: el("US", reason)}
                    for name, uid, reason in self.failed
                )
            )
        return told


async def judged(ctx: PluginContext, asked: DicomJson, transaction: str = "") -> Verdict:
    """Return what is held. Raises CommitmentRefused."""
    transaction = transaction or text(asked, TRANSACTION)
    named = [(text(item, _CLASS), text(item, _INSTANCE)) for item in items(asked, REFERENCED)]
    if not transaction:
        raise CommitmentRefused(codes.MISSING_ATTRIBUTE, "the request has no transaction UID")
    if not named or len(named) > _MOST:
        raise CommitmentRefused(codes.MISSING_ATTRIBUTE, f"a request names 1 to {_MOST} instances")
    there = await archive(ctx).held(ctx, [uid for _, uid in named])
    held, failed = [], []
    for name, uid in named:
        instance = there.get(uid)
        if instance is None:
            failed.append((name, uid, codes.NO_SUCH_INSTANCE))
        elif instance.sop_class != name:
            failed.append((name, uid, codes.CLASS_CONFLICT))
        else:
            held.append((name, uid))
    return Verdict(transaction, tuple(held), tuple(failed))


async def remember(ctx: PluginContext, verdict: Verdict, title: str) -> None:
    """Keep what was said, for whoever asks again."""
    value = {"made": ctx.now(), "owner": owner_of(ctx), "event": verdict.event, "data": verdict.data(title)}
    await ctx.store.put(RecordChange(COMMITMENTS.name, verdict.transaction, value))


async def remembered(ctx: PluginContext, transaction: str) -> dict[str, Any] | None:
    """Return what was said to the same caller; None: nothing."""
    record: Record | None = await ctx.store.get(COMMITMENTS.name, transaction)
    if record is None or record.value["owner"] != owner_of(ctx):
        return None
    return dict(record.value)


async def is_taken(ctx: PluginContext, transaction: str) -> bool:
    """Tell whether somebody else has used a transaction UID."""
    record = await ctx.store.get(COMMITMENTS.name, transaction)
    return record is not None and record.value["owner"] != owner_of(ctx)


def owner_of(ctx: PluginContext) -> str:
    """Return who asks: the user, or the client."""
    return ctx.caller.user or ctx.caller.client or ctx.caller.name
