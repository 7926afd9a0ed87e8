"""Keeping: staged objects become instances of the archive, unless they are there already or do not belong there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dicomweb.fhir.patients import match, same_person
from dicomweb.index.collections import INSTANCES, PENDING, STUDIES
from dicomweb.index.rows import Held, study_row
from dicomweb.ingest.faults import COERCED, DUPLICATE, MISMATCH, NOT_AUTHORIZED, OUT_OF_RESOURCES, PROCESSING_FAILURE
from dicomweb.ingest.groups import StudySum, Together
from dicomweb.ingest.quota import Quota
from dicomweb.ingest.staging import Staged
from dicomweb.model.authority import Authority
from dicomweb.model.values import Outcome
from fhir_server.plugin_api import (
    BlobChange,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    StorageFull,
    StoreError,
    Where,
)

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_TRIES = 5


class Keeping:
    """Of one process."""

    def __init__(self, settings: "DicomSettings", authority: Authority) -> None:
        self._settings, self._authority = settings, authority
        self._quota = Quota(settings.quota)

    async def keep(
        self, ctx: PluginContext, group: Together, staged: Sequence[Staged], *, wait: bool = False
    ) -> list[Outcome]:  # fmt: skip
        """Write the records of objects in one commit; with `wait`, leave that to the end of the group.

        Return what became of each, in order.
        """
        if wait:
            outcomes, _ = await self._judged(ctx, group, staged)
            return outcomes
        for _ in range(_TRIES):
            outcomes, records = await self._judged(ctx, group, staged)
            blobs = [BlobChange(held.blob, True, patient or None) for held, _, patient in records]
            changes = [change for held, expected, _ in records for change in held.records(expected)]
            changes += [pending(ctx, uid) for uid in dict.fromkeys(held.uids.study for held, _, _ in records)]
            try:
                if records:
                    await ctx.store.keep(*blobs, records=changes)
                for held, _, _ in records:
                    group.of(held).waiting = [each for each in group.of(held).waiting if each[0] is not held]
                return outcomes
            except RecordChanged:
                self._forget(group, records)
            except StoreError as error:
                self._forget(group, records)
                return await self.given_up(ctx, staged, error)
        return await self.given_up(ctx, staged, None)

    async def given_up(
        self, ctx: PluginContext, staged: Sequence[Staged], error: StoreError | None
    ) -> list[Outcome]:  # fmt: skip
        """Return the outcomes of objects that could not be kept, and remove their bytes."""
        status = OUT_OF_RESOURCES if isinstance(error, StorageFull) else PROCESSING_FAILURE
        said = "there is no space left" if status == OUT_OF_RESOURCES else "the index could not be written; try again"
        for each in staged:
            await ctx.store.discard(each.held.blob)
        return [_outcome(each, status, said, stored=False) for each in staged]

    def _forget(self, group: Together, records: Sequence[tuple[Held, int, str]]) -> None:
        for held, _, _ in records:
            sum_ = group.of(held)
            sum_.waiting = [each for each in sum_.waiting if each[0] is not held]
            series = sum_.series.get(held.uids.series)
            if series is not None:
                series.instances.pop(held.uids.sop, None)
                if not series.instances:
                    del sum_.series[held.uids.series]
            if not sum_.series:
                group.studies.pop(held.uids.study, None)

    async def _judged(
        self, ctx: PluginContext, group: Together, staged: Sequence[Staged]
    ) -> tuple[list[Outcome], list[tuple[Held, int, str]]]:
        there = await self._there(ctx, group, staged)
        outcomes, records = [], []
        for each in staged:
            held, known = each.held, there.get(each.held.uids.sop)
            refused = await self._refusal(ctx, group, held, known)
            if refused is not None:
                if not (refused[0] == 0 and _same_blob(known, held)):
                    await ctx.store.discard(held.blob)
                outcomes.append(_outcome(each, *refused, stored=False))
                continue
            there[held.uids.sop] = Record(held.uids.key, held.row, 0)
            sum_ = group.of(held)
            sum_.add(held)
            expected = known.revision if known else 0
            sum_.waiting.append((held, expected))
            records.append((held, expected, sum_.patient))
            self._quota.add(ctx.tenant, held.size)
            said = "; ".join(each.remarks)
            outcomes.append(_outcome(each, COERCED if said else 0, said, stored=True))
        return outcomes, records

    async def _there(
        self, ctx: PluginContext, group: Together, staged: Sequence[Staged]
    ) -> dict[str, Record]:  # fmt: skip
        """Return the records of instances with the same UIDs, by SOP Instance UID; those that wait, too."""
        named = list({each.held.uids.sop for each in staged})
        found = await ctx.store.find(INSTANCES.name, [Where("sop", "in", named)], limit=2 * len(named) + 10)
        there = {str(record.value["sop"]): record for record in found}
        waiting = [held for sum_ in group.studies.values() for held, _ in sum_.waiting]
        return there | {held.uids.sop: Record(held.uids.key, held.row, 0) for held in waiting}

    async def _refusal(
        self, ctx: PluginContext, group: Together, held: Held, known: Record | None
    ) -> tuple[int, str] | None:  # fmt: skip
        """Return status and words for what is not stored; None for what is."""
        if known is not None and known.key != held.uids.key:
            return DUPLICATE, "another study or series has an instance of this UID"
        said = await self._no_place(ctx, group, held)
        if said is not None:
            return said
        if known is not None:
            was: Mapping[str, Any] = known.value.get("was") or known.value  # type: ignore[assignment]
            if was["digest"] == held.digest and was["syntax"] == held.transfer_syntax:
                return 0, "it is there already"
            if self._settings.duplicates == "refuse" or not known.revision:
                return DUPLICATE, "there is an instance of this UID with other content"
        if self._quota.most and not await self._quota.has_room(ctx, held.size):
            return OUT_OF_RESOURCES, "the quota of this archive is used up"
        return None

    async def _no_place(self, ctx: PluginContext, group: Together, held: Held) -> tuple[int, str] | None:
        """Tell why an object cannot be put in its study; the patient of a new one is looked for."""
        known = group.studies.get(held.uids.study)
        row: Mapping[str, Any] | None
        if known is not None:
            row = study_row(None, known.header, 0)
        else:
            record = await ctx.store.get(STUDIES.name, held.uids.study)
            row = record.value if record else None
            if record and not await self._authority.visible(ctx, (held.uids.study,)):
                return NOT_AUTHORIZED, "your access does not reach this study"
        if row is not None and not same_person(row, held.header):
            return MISMATCH, "the study is that of another patient"
        if known is None:
            await self._begin(ctx, group.of(held), row, held)
        return None

    async def _begin(self, ctx: PluginContext, sum_: StudySum, row: Mapping[str, Any] | None, held: Held) -> None:
        if row is not None and row.get("patient"):
            sum_.patient = str(row["patient"])
            return
        found = await match(ctx, row or study_row(None, held.header, ctx.now()), self._settings)
        sum_.patient, sum_.why = found.patient, found.why


def pending(ctx: PluginContext, study: str) -> RecordChange:
    """Return the mark of a study whose ImagingStudy has to be written."""
    return RecordChange(PENDING.name, study, {"at": ctx.now()})


def _same_blob(known: Record | None, held: Held) -> bool:
    return known is not None and known.value.get("blob") == held.blob


def _outcome(staged: Staged, status: int, reason: str, *, stored: bool) -> Outcome:
    uids = staged.held.uids
    return Outcome(uids.sop_class, uids.sop, uids.study, uids.series, status, reason, stored)
