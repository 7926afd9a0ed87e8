"""What is done about a server across the network that does not answer: breakers, repeats with jitter, deadlines.

A breaker opens when calls fail one after the other. From then on calls are refused at once, and a probe, not the
request of somebody, finds out when the server is back. Source: https://martinfowler.com/bliki/CircuitBreaker.html
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil
from random import uniform
from typing import Any, Final, Literal

from fhir_server.settings import Settings

_log = logging.getLogger("fhir_server.resilience")
State = Literal["closed", "open", "half-open"]

_MOST_AFTER: Final = 60
_END_AGAIN: Final = 0.2


class BreakerOpen(Exception):
    """The server does not answer, and nobody is kept waiting for it; `after`: seconds until it is worth a try."""

    def __init__(self, name: str, after: float) -> None:
        super().__init__(f"{name} does not answer")
        self.after = after


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient one is with a server. Times are seconds.

    failures: calls in a row that must fail until the breaker opens. pause, longest: between two probes while it is
    open, at first and at most. tries: of what can be repeated. first: the longest wait before the second try.
    """

    failures: int = 5
    pause: float = 0.5
    longest: float = 5.0
    tries: int = 4
    first: float = 0.05


def policy_of(settings: Settings) -> Policy:
    """Return what the settings say."""
    return Policy(settings.breaker_failures, longest=settings.breaker_longest, tries=settings.store_tries)


def pauses(first: float, longest: float, *, even: bool = False) -> Iterator[float]:
    """Yield waits before the next try, each from a span that doubles.

    By full jitter, from 0; `even` from half of it, for what goes on for long.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    span = first
    while True:
        yield uniform(span / 2 if even else 0, span)  # noqa: S311  # no secret
        span = min(span * 2, longest)


def retry_after(after: float) -> int:
    """Return whole seconds for Retry-After, spread so that not all who were refused come again together."""
    return min(_MOST_AFTER, ceil(after + uniform(0, 1 + after)))  # noqa: S311  # no secret


@dataclass(slots=True)
class _Scope:
    deadline: float | None
    wrote: bool = False


_SCOPE: ContextVar[_Scope | None] = ContextVar("request", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give what is done in this context so many seconds in all for servers across the network.

    Tasks that outlive it, such as jobs, inherit its variables; they are not bound by it once it has ended.
    """
    scope = _Scope(time.monotonic() + seconds)
    token = _SCOPE.set(scope)
    try:
        yield
    finally:
        scope.deadline = None
        _SCOPE.reset(token)


def time_left(most: float) -> float:
    """Return the seconds that are left of this context's time, at most so many."""
    scope = _SCOPE.get()
    if scope is None or scope.deadline is None:
        return most
    return max(0.0, min(most, scope.deadline - time.monotonic()))


def note_write() -> None:
    """Note that something of what is done in this context is stored."""
    scope = _SCOPE.get()
    if scope is not None:
        scope.wrote = True


def has_written() -> bool:
    """Tell whether something of what is done in this context is stored already."""
    scope = _SCOPE.get()
    return scope is not None and scope.wrote


async def ended(*tasks: "asyncio.Task[Any] | None") -> None:
    """End tasks: again and again, for clients of servers lose a cancellation now and then."""
    known = [task for task in tasks if task is not None]
    left = {task for task in known if not task.done()}
    while left:
        for each in left:
            each.cancel()
        _, left = await asyncio.wait(left, timeout=_END_AGAIN)
    for each in known:
        if not each.cancelled():
            each.exception()


class Complaint:
    """Tells whether a failure is to be logged: the first one after all went well."""

    def __init__(self) -> None:
        self._made = False

    def is_new(self) -> bool:
        """Tell so of a failure that has just come."""
        was, self._made = self._made, True
        return not was

    def well(self) -> None:
        """Note that it went well."""
        self._made = False


class Breaker:
    """The breaker of one server (or group of servers that fail together).

    Args:
        name: as operators know it, in logs and numbers.
        probe: asks the server whether it is there; raises if not. It has `limit` seconds.
    """

    def __init__(self, name: str, probe: Callable[[], Awaitable[object]], policy: Policy, limit: float = 3.0) -> None:
        self.name, self.policy = name, policy
        self.state: State = "closed"
        self.counts: Counter[str] = Counter()
        """`failed` calls, `opened` times, `refused` calls."""
        self._probe, self._limit = probe, limit
        self._row, self._since, self._next = 0, 0.0, 0.0
        self._told: list[Callable[[bool], None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    def admit(self) -> None:
        """Let a call through. Raises BreakerOpen."""
        if self.state != "closed":
            self.counts["refused"] += 1
            raise BreakerOpen(self.name, self.after)

    @property
    def after(self) -> float:
        """Seconds until the server is asked again."""
        return 0.0 if self.state == "closed" else max(0.0, self._next - time.monotonic())

    @property
    def since(self) -> float:
        """Seconds for which it has been open, 0 for closed."""
        return 0.0 if self.state == "closed" else time.monotonic() - self._since

    def succeeded(self) -> None:
        """Note a call that was answered, with whatever; one that began before the breaker opened does not close it."""
        self._row = 0

    def failed(self, reason: str) -> None:
        """Note a call that was not answered; `reason` holds no data."""
        self.counts["failed"] += 1
        self._row += 1
        if self._row >= self.policy.failures:
            self.trip(reason)
        else:
            self.suspect(reason)

    def suspect(self, reason: str) -> None:
        """Ask the server whether it is there, for a call fails or takes long; open if it does not answer."""
        if self.state == "closed" and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(reason))

    async def _ask(self, reason: str) -> None:
        if not await self._answers():
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Open."""
        if self.state != "closed":
            return
        self.state, self._since = "open", time.monotonic()
        self.counts["opened"] += 1
        _log.error(
            "%s does not answer (%s): what needs it is refused, or done without, until it does", self.name, reason
        )
        self._probing = asyncio.create_task(self._watch())
        self._tell(True)

    def when_turned(self, told: Callable[[bool], None]) -> None:
        """Have `told(is_open)` called when it opens and when it closes."""
        self._told.append(told)

    def forget(self, told: Callable[[bool], None]) -> None:
        """Call it no more."""
        self._told.remove(told)

    async def close(self) -> None:
        """Probe no more."""
        await ended(self._asking, self._probing)

    async def _watch(self) -> None:
        for pause in pauses(self.policy.pause, self.policy.longest, even=True):
            self._next = time.monotonic() + pause
            await asyncio.sleep(pause)
            self.state = "half-open"
            if await self._answers():
                _log.warning("%s answers again after %.1f s", self.name, self.since)
                self.state, self._row = "closed", 0
                self._tell(False)
                return
            self.state = "open"

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(self._limit):
                await self._probe()
        except Exception:  # whatever it is, the server is not there
            return False
        return True

    def _tell(self, is_open: bool) -> None:
        for told in tuple(self._told):
            told(is_open)
