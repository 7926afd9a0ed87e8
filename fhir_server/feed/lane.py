"""Lane: one partition of one consumer in one tenant, which goes along the log and sees to what fails on the way."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from fhir_server.alerts import Alert, raise_alert
from fhir_server.feed.backoff import delay
from fhir_server.feed.change import FeedChange
from fhir_server.feed.delivery import Delivery
from fhir_server.feed.ground import Ground, partition
from fhir_server.feed.log import change_of
from fhir_server.feed.records import LaneState, Letter, Outage, Position, letter_of
from fhir_server.feed.waiting import Waiting
from fhir_server.model.keys import ResourceKey
from fhir_server.resilience import Complaint
from fhir_server.storage.base import StoreError

_log = logging.getLogger("fhir_server.feed")
PROBES: Final = 3
"""Resources whose changes must all fail, each by itself, before it is the consumer that counts as out of order."""

_LETTERS_AT_ONCE: Final = 20
_AFTER_FAULT: Final = 5_000


class Lane:
    """Runs until it is cancelled. Its state is what it comes to; `outbox` of its letters what is to be written with it.

    A change that fails by itself, while others get through, waits beside the stream for its next try, and so do later
    changes of its resource. Where nothing gets through the stream stops, and is tried again later and later.
    """

    def __init__(self, ground: Ground, delivery: Delivery, number: int, state: LaneState) -> None:
        self.number = number
        self.position, self.outage = state.position, state.outage
        self.waiting = Waiting(ground.settings)
        self.paused = False
        self.delivered = 0
        self.rests_until: float | None = None
        """While it rests: when it goes on by itself, milliseconds, infinite for never; None while it works."""
        self._ground, self._delivery, self._consumer = ground, delivery, delivery.consumer
        self._wake, self._complaint = asyncio.Event(), Complaint()
        self._streak: set[ResourceKey] = set()
        self._skip = False
        self._jump: Position | None = None

    @property
    def _is_called_off(self) -> bool:
        """Whether there is another order than to go on."""
        return self.paused or self._jump is not None

    @property
    def state(self) -> LaneState:
        """What its cursor says."""
        return LaneState(self.position, self.outage)

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    def skip(self) -> None:
        """Bury what cannot be delivered now, and go on."""
        self._skip = self.outage is not None
        self.wake()

    def jump(self, to: Position) -> None:
        """Go on from another place."""
        self._jump, self.outage = to, None
        self.wake()

    def retry(self) -> None:
        """Try at once what failed."""
        self.waiting.hurry()
        if self.outage is not None:
            self.outage = Outage(self.outage.since, self.outage.attempts, 0, self.outage.reason)
        self.wake()

    async def run(self) -> None:
        """Go along the log for ever."""
        while True:
            try:
                await self._step()
                self._complaint.well()
            except StoreError as error:
                if self._complaint.is_new():
                    _log.warning("consumer %s of %s waits: %s", self._consumer.name, self._ground.tenant, error)
                await self._rest(self._ground.now() + _AFTER_FAULT)
            except Exception:  # a fault of the feed itself must not end a consumer for good
                _log.exception("consumer %s of %s", self._consumer.name, self._ground.tenant)
                await self._rest(self._ground.now() + _AFTER_FAULT)

    async def _step(self) -> None:
        self._wake.clear()
        if self._jump is not None:
            self.position, self._jump = self._jump, None
        if self.paused:
            await self._rest(None)
        elif not await self._advance():
            self.outage = None  # nothing is left that the stream could stop at; letters have their own times
            await self._try_letters()
            await self._rest(self.waiting.next_due)

    async def _rest(self, until: float | None) -> None:
        """Wait for a sign, or for a time (None: for the sign alone)."""
        self.rests_until = float("inf") if until is None else until
        if until is not None:
            until = max(0.0, (until - self._ground.now()) / 1_000)
        try:
            async with asyncio.timeout(until):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self.rests_until = None

    async def _advance(self) -> bool:
        """Deliver one page of the log; False at its end."""
        page = await self._ground.log.after(self.position)
        mine = [change for change in page.changes if self._is_mine(change)]
        for at in range(0, len(mine), self._consumer.batch):
            chunk = mine[at : at + self._consumer.batch]
            await self._deliver(chunk)
            if self._is_called_off:
                return True
            self.position = Position(self.position.txid, chunk[-1].row.pid)
            await self._ground.saved()
            await self._try_letters()
        self.position = page.end
        if page.changes:
            await self._ground.saved()
        return bool(page.changes)

    def _is_mine(self, change: FeedChange) -> bool:
        consumer = self._consumer
        if consumer.types and change.key.type not in consumer.types:
            return False
        return consumer.partitions == 1 or partition(change.key, consumer.partitions) == self.number

    async def _deliver(self, chunk: Sequence[FeedChange]) -> None:
        """Return once each change is delivered or parked, or there is another order."""
        free = await self._park_behind(chunk)
        while free:
            if self.outage is not None and not await self._wait_out(free):
                return
            reason = await self._delivery(free)
            if not reason:
                self._through(len(free))
                return
            free = await self._rescue(free, reason)
            if free:
                self._note_outage(reason)

    async def _park_behind(self, chunk: Sequence[FeedChange]) -> list[FeedChange]:
        """Put changes of resources that have waiting letters behind those; return the others."""
        free = []
        for change in chunk:
            while change.key in self.waiting and not self.waiting.room:
                # What is to wait here has failed for long, and is written on and on: the stream waits for it.
                await self._rest(self.waiting.next_due)
                self._wake.clear()
                if self._is_called_off:
                    return []
                await self._try_letters(anyway=True)
            if change.key in self.waiting:
                self.waiting.park(letter_of(self._consumer.name, change))
            else:
                free.append(change)
        return free

    async def _rescue(self, changes: list[FeedChange], reason: str) -> list[FeedChange]:
        """Deliver what can be, park what fails by itself; return what is left where nothing gets through."""
        probes = _spread(changes)
        reasons = {probe.id: reason if len(changes) == 1 else await self._delivery([probe]) for probe in probes}
        if all(reasons.values()):
            self._streak.update(probe.key for probe in probes)
            if len(self._streak) >= PROBES or self._is_full(len(changes)):
                return changes
        for probe in probes:
            if reasons[probe.id]:
                self._park(probe, reasons[probe.id])
            else:
                self._through(1)
        rest = [change for change in changes if change.id not in reasons]
        return await self._halve(rest)

    async def _halve(self, changes: list[FeedChange]) -> list[FeedChange]:
        """Find those that fail by halving; return what is left as `_rescue` does."""
        parts = [changes]
        while parts:
            part = await self._park_behind(parts.pop())
            if not part:
                continue
            reason = await self._delivery(part)
            if not reason:
                self._through(len(part))
            elif len(part) > 1:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
            else:
                self._streak.add(part[0].key)
                if len(self._streak) >= PROBES or self._is_full(1):
                    return [*part, *(change for left in reversed(parts) for change in left)]
                self._park(part[0], reason)
        return []

    def _is_full(self, more: int) -> bool:
        return self.waiting.count + more > self._ground.settings.feed_waiting

    def _park(self, change: FeedChange, reason: str) -> None:
        now = self._ground.now()
        due = now + delay(1, self._ground.settings)
        known = {"attempts": 1, "since": now, "due": due, "reason": reason}
        self.waiting.park(letter_of(self._consumer.name, change, **known))
        _log.warning("consumer %s of %s cannot take %s", self._consumer.name, self._ground.tenant, change.id)

    def _through(self, count: int) -> None:
        """Something was delivered: after an outage, whatever failed in it shall be tried soon."""
        self.delivered += count
        self._streak.clear()
        if self.outage is not None:
            self.outage = None
            self.waiting.hurry()

    def _note_outage(self, reason: str) -> None:
        now = self._ground.now()
        attempts = self.outage.attempts + 1 if self.outage else 1
        since = self.outage.since if self.outage else now
        self.outage = Outage(since, attempts, now + delay(attempts, self._ground.settings), reason)
        _log.warning(
            "consumer %s of %s takes nothing, failed %d times; it is tried again in %d s",
            self._consumer.name, self._ground.tenant, attempts, (self.outage.until - now) // 1_000,
        )  # fmt: skip
        if now - since >= self._ground.settings.feed_alarm * 1_000:
            said = f"it takes nothing ({reason.partition(':')[0]}); see `fhir-server feed status`"
            raise_alert(Alert("feed-failing", self._ground.tenant, said, self._consumer.name))

    async def _wait_out(self, changes: Sequence[FeedChange]) -> bool:
        """Wait for the next try of a stream that is stopped; False if it is to be given up."""
        await self._ground.saved()
        while self.outage is not None and (left := self.outage.until - self._ground.now()) > 0:
            await self._rest(self._ground.now() + left)
            self._wake.clear()
            if self._is_called_off:
                self._wake.set()
                return False
            if self._skip:
                break
        if self.outage is None:
            return True
        too_long = self._ground.now() - self.outage.since >= self._ground.settings.feed_retry_for * 1_000
        if not (self._skip or too_long) or (too_long and not self._skip and not await self._last_try(changes)):
            return True
        self._bury(changes)
        return False

    async def _last_try(self, changes: Sequence[FeedChange]) -> bool:
        """Tell whether the changes are still refused after the longest time."""
        reason = await self._delivery(changes)
        if not reason:
            self._through(0)
        return bool(reason)

    def _bury(self, changes: Sequence[FeedChange]) -> None:
        assert self.outage is not None
        reason = f"skipped by an operator after: {self.outage.reason}" if self._skip else self.outage.reason
        known = {"attempts": self.outage.attempts, "since": self.outage.since, "reason": reason, "state": "dead"}
        for change in changes:
            self.waiting.bury(letter_of(self._consumer.name, change, **known))
        self._alarm(f"{len(changes)} changes became dead letters", reason)
        self.outage, self._skip = None, False
        self._streak.clear()

    async def _try_letters(self, *, anyway: bool = False) -> None:
        """Deliver letters that are due, the first of each resource, a few at a time; `anyway`: in an outage too."""
        now, tried = self._ground.now(), 0
        if self.paused or (self.outage is not None and not anyway):
            return
        for letter in self.waiting.due(now):
            await self._try_letter(letter)
            tried += 1
            if tried == _LETTERS_AT_ONCE:
                break
        if tried:
            await self._ground.saved()

    async def _try_letter(self, letter: Letter) -> None:
        row = await self._ground.store.read_version(letter.key, letter.version)
        if row is None:  # erased meanwhile
            self.waiting.done(letter)
            return
        reason = await self._delivery([change_of(self._ground.store, row, letter.method)])
        if not reason:
            self.waiting.done(letter)
            self._through(1)
        elif self.waiting.failed(letter, self._ground.now(), reason).state == "dead":
            self._alarm("a change became a dead letter", reason)

    def _alarm(self, what: str, reason: str) -> None:
        said = f"{what} ({reason.partition(':')[0]}); see `fhir-server feed dead`"
        raise_alert(Alert("feed-dead-letter", self._ground.tenant, said, self._consumer.name))


def _spread(changes: Sequence[FeedChange]) -> list[FeedChange]:
    """Return the first changes of a few resources from all over a batch."""
    firsts = list({change.key: change for change in reversed(changes)}.values())[::-1]
    if len(firsts) <= PROBES:
        return firsts
    return [firsts[0], firsts[len(firsts) // 2], firsts[-1]]
