"""STOW-RS: objects of a request are staged as they come, several at once, and kept in few commits."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from dicomweb.ingest.faults import CANNOT_UNDERSTAND, PROCESSING_FAILURE, ObjectFault
from dicomweb.ingest.groups import Together
from dicomweb.ingest.staging import Staged, patiently
from dicomweb.model.values import Incoming, Outcome, Source
from dicomweb.store.archive import StoredArchive
from fhir_server.plugin_api import BadRequest, PluginContext

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_WHOLE: Final = 4_194_304
_AT_ONCE: Final = 8
_BATCH: Final = 200
Body = AsyncIterator[bytes]


class Storing:
    """One request. `add` objects, then `end`; `give_up` where the request is broken off."""

    def __init__(
        self, ctx: PluginContext, archive: StoredArchive, settings: "DicomSettings", study: str, address: str
    ) -> None:  # fmt: skip
        self._ctx, self._archive, self._settings, self._study = ctx, archive, settings, study
        self.group: Together = archive.begin(ctx, Source("stow", address=address))
        self._tasks: list[asyncio.Task[Staged | Outcome]] = []
        self._places: list[Outcome | None] = []
        self._staged: list[tuple[int, Staged]] = []
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def add(self, body: Body) -> None:
        """Take one object. Small ones are written beside the next, large ones while they come."""
        if len(self._places) >= self._settings.max_instances:
            raise BadRequest(f"there are more than {self._settings.max_instances} objects", expression="http.body")
        number = len(self._places)
        self._places.append(None)
        begin = bytearray()
        try:
            async for chunk in patiently(body, self._settings.stall):
                begin += chunk
                if len(begin) > _WHOLE:
                    break
            else:
                await self._slots.acquire()
                self._tasks.append(asyncio.create_task(self._stage(number, Incoming(bytes(begin), study=self._study))))
                return await self._now_and_then()
        except ObjectFault as fault:
            raise BadRequest(fault.reason, expression="http.body") from None
        await self._slots.acquire()
        await self._stage(number, Incoming(_joined(bytes(begin), body), study=self._study))
        return await self._now_and_then()

    async def add_whole(self, data: bytes) -> None:
        """Take one object that is in memory."""
        number = len(self._places)
        self._places.append(None)
        await self._slots.acquire()
        await self._stage(number, Incoming(data, study=self._study))

    def fail(self, reason: str, status: int = CANNOT_UNDERSTAND) -> None:
        """Note a part that is no object."""
        self._places.append(Outcome(study=self._study, status=status, reason=reason))

    async def end(self) -> list[Outcome]:
        """Keep what was staged, with the ImagingStudies; return what became of each object, in order."""
        await self._gather()
        await self._keep(wait=True)
        await self._archive.end(self._ctx, self.group)
        revised = {each.sop_instance: each for each in self.group.outcomes if each.failed}
        return [self._revised(each, revised) for each in self._places]

    async def give_up(self) -> None:
        """Leave nothing behind of what was not kept yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, staged in self._staged:
            await self._ctx.store.discard(staged.held.blob)
        for sum_ in self.group.studies.values():
            for held, _ in sum_.waiting:
                await self._ctx.store.discard(held.blob)

    def _revised(self, outcome: Outcome | None, revised: dict[str, Outcome]) -> Outcome:
        if outcome is None:
            return Outcome(status=PROCESSING_FAILURE, reason="the object was not stored")
        return revised.get(outcome.sop_instance, outcome) if outcome.stored else outcome

    async def _stage(self, number: int, incoming: Incoming) -> Staged | Outcome:
        try:
            found = await self._archive.stage(self._ctx, self.group, incoming)
        finally:
            self._slots.release()
        if isinstance(found, Outcome):
            self._places[number] = found
        else:
            self._staged.append((number, found))
        return found

    async def _now_and_then(self) -> None:
        if len(self._tasks) + len(self._staged) < _BATCH or len(self._staged) < _BATCH // 2:
            return
        await self._gather()
        await self._keep(wait=False)

    async def _gather(self) -> None:
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def _keep(self, *, wait: bool) -> None:
        staged, self._staged = sorted(self._staged, key=lambda each: each[0]), []
        if staged:
            outcomes = await self._archive.keep(self._ctx, self.group, [each for _, each in staged], wait=wait)
            for (number, _), outcome in zip(staged, outcomes, strict=True):
                self._places[number] = outcome


async def _joined(begin: bytes, body: Body) -> AsyncIterator[bytes]:
    yield begin
    async for chunk in body:
        yield chunk
