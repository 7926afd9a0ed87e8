"""Waiting: the changes of a lane that wait for another try beside the stream, in order for each resource."""

from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from fhir_server.feed.backoff import delay
from fhir_server.feed.records import Letter
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange


class Waiting:
    """Letters in the state `waiting`. What changes is collected in `outbox` until it is written with the cursor."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues: dict[ResourceKey, deque[Letter]] = {}
        self.outbox: dict[str, RecordChange] = {}
        self.count = 0

    def __contains__(self, key: ResourceKey) -> bool:
        """Tell whether a resource has letters, so that later changes of it must wait behind them."""
        return key in self._queues

    @property
    def room(self) -> int:
        """How many more may wait."""
        return max(0, self._settings.feed_waiting - self.count)

    def load(self, letter: Letter) -> None:
        """Take one that is written already, at its place among those of its resource."""
        queue = self._queues.setdefault(letter.key, deque())
        insort(queue, letter, key=lambda each: each.pid)
        self.count += 1

    def park(self, letter: Letter) -> None:
        """Take a new one, behind those of its resource."""
        self.load(letter)
        self.outbox[letter.name] = letter.put()

    def due(self, now: int) -> Iterator[Letter]:
        """Yield the first letter of each resource that is to be tried now."""
        for queue in tuple(self._queues.values()):
            if queue and queue[0].due <= now:
                yield queue[0]

    @property
    def next_due(self) -> int | None:
        """When the next one is to be tried, None for none."""
        return min((queue[0].due for queue in self._queues.values()), default=None)

    def hurry(self) -> None:
        """Try all at once: something gets through again."""
        for queue in self._queues.values():
            if queue[0].attempts:
                queue[0] = replace(queue[0], due=0)

    def done(self, letter: Letter) -> None:
        """Drop one that was delivered, or that there is nothing left to deliver of."""
        self._take(letter)
        self.outbox[letter.name] = letter.drop()

    def failed(self, letter: Letter, now: int, reason: str) -> Letter:
        """Note that the first of a resource failed; return it as it is now, `dead` if it was tried for long enough."""
        since = letter.since or now
        after = replace(letter, attempts=letter.attempts + 1, since=since, reason=reason)
        if now - since >= self._settings.feed_retry_for * 1_000:
            after = replace(after, state="dead", due=0)
            self._take(letter)
        else:
            after = replace(after, due=now + delay(after.attempts, self._settings))
            self._queues[letter.key][0] = after
        self.outbox[letter.name] = after.put()
        return after

    def bury(self, letter: Letter) -> None:
        """Write one as dead that never waited."""
        self.outbox[letter.name] = letter.put()

    def _take(self, letter: Letter) -> None:
        queue = self._queues[letter.key]
        queue.popleft()
        self.count -= 1
        if not queue:
            del self._queues[letter.key]
