"""Cache: what was read of a patient, for as long as no version of it has changed.

A server process keeps of each tenant which resources its log has touched since: what names the patient, or was among
the inputs, makes what is kept useless. Callers whose view is restricted or masked are always read for anew.
"""

import itertools
import re
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_ai.inputs.record import Read, Record, Wanted, read
from fhir_server.plugin_api import PluginContext, Resource, Version

_PATIENT: Final = re.compile(rb"Patient/([A-Za-z0-9.\-]{1,64})")
TYPES: Final = frozenset(("Observation", "Condition", "MedicationRequest", "MedicationStatement"))
_BEHIND: Final = 500
"""More changes than this since the last look: everything is forgotten instead of looking through them."""
_TOUCHED: Final = 5_000
_EPOCHS: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was read, after which commit, by which reckoning of the log."""

    found: Read
    txid: int
    epoch: int


class Log:
    """What the log of a tenant has touched lately: patients and resources, each with the commit."""

    def __init__(self, store: Any, txid: int) -> None:
        self._store = weakref.ref(store)
        self.txid = self._floor = txid
        self.epoch = next(_EPOCHS)
        self._touched: OrderedDict[str, int] = OrderedDict()

    def is_of(self, store: Any) -> bool:
        """Tell whether it is of this store: a tenant that was erased and made anew has another one."""
        return self._store() is store

    async def follow(self, store: Any) -> None:
        """Look at what was committed since."""
        last = await store.last_txid()
        while self.txid != last:
            behind = last - self.txid
            changes = await store.changes(self.txid, _BEHIND) if 0 < behind < _BEHIND else ()
            if not changes or len(changes) >= _BEHIND:
                self._forget(last)
                return
            self._note(changes)

    def _forget(self, txid: int) -> None:
        """Begin anew: there was too much to look through, or the record was put back to an earlier state."""
        self.txid = self._floor = txid
        self.epoch = next(_EPOCHS)
        self._touched.clear()

    def _note(self, changes: Sequence[Version]) -> None:
        for version in changes:
            if version.key.type in TYPES:
                self._touch(f"{version.key.type}/{version.key.id}", version.txid)
                for patient in _PATIENT.findall(version.body.data):
                    self._touch(patient.decode(), version.txid)
            self.txid = max(self.txid, version.txid)

    def unchanged(self, patient: str, kept: _Kept) -> bool:
        """Tell whether nothing that could change what was read came after it."""
        if kept.epoch != self.epoch or kept.txid < self._floor:
            return False
        resources = (*(each for _, each in kept.found.observations), *kept.found.conditions, *kept.found.medicines)
        names = (patient, *(f"{each['resourceType']}/{each['id']}" for each in resources))
        return all(self._touched.get(name, 0) <= kept.txid for name in names)

    def _touch(self, name: str, txid: int) -> None:
        self._touched[name] = txid
        self._touched.move_to_end(name)
        if len(self._touched) > _TOUCHED:
            _, gone = self._touched.popitem(last=False)
            self._floor = max(self._floor, gone)


class Cache:
    """What was read of patients lately, in this process.

    Args:
        most: how many patients; 0 for none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], _Kept] = OrderedDict()
        self._logs: dict[str, Log] = {}

    async def record(self, ctx: PluginContext, patient: Resource, wanted: Wanted) -> Record:
        """Return the record of a patient of the store, read anew or as it was kept."""
        now, id_ = ctx.now(), str(patient["id"])
        if not self._most or not sees_all(ctx):
            return (await read(ctx.client, id_, now, wanted)).record(patient, now, wanted.since(now))
        key = (ctx.tenant, id_, wanted, wanted.codes)
        log = await self._log(ctx)
        kept = self._kept.get(key)
        if kept is None or not log.unchanged(id_, kept):
            txid, epoch = log.txid, log.epoch
            kept = _Kept(await read(ctx.client, id_, now, wanted), txid, epoch)
            self._keep(key, kept)
        return kept.found.record(patient, now, wanted.since(now))

    async def _log(self, ctx: PluginContext) -> Log:
        store, log = ctx.core.store, self._logs.get(ctx.tenant)
        if log is None or not log.is_of(store):
            log = self._logs[ctx.tenant] = Log(store, await store.last_txid())
        await log.follow(store)
        return log

    def _keep(self, key: tuple[Any, ...], kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)


def sees_all(ctx: PluginContext) -> bool:
    """Tell whether the caller is shown everything as it is stored: only then may another's reading stand for theirs."""
    restriction, deciders = ctx.core.restriction, ctx.core.deciders
    if restriction.mask is not None or not restriction.visibility.unrestricted or (deciders and deciders.shows):
        return False
    return all(restriction.may("search-type", type_) for type_ in TYPES)


def cached(ctx: PluginContext) -> Cache:
    """Return the cache of this process."""
    found = ctx.shared.get("inputs")
    if not isinstance(found, Cache):
        found = ctx.shared["inputs"] = Cache(ctx.settings.cached_patients)
    return found


def with_given(record: Record, *, came: Mapping[str, list[Resource]]) -> Record:
    """Return a record with what came with a call before what is stored."""
    medicines = [*came.get("MedicationRequest", ()), *came.get("MedicationStatement", ())]
    return replace(
        record, observations=[*came.get("Observation", ()), *record.observations],
        conditions=[*came.get("Condition", ()), *record.conditions], medicines=[*medicines, *record.medicines],
    )  # fmt: skip
