"""Guard: every call to the servers of one provider passes here, where it has a limit, is repeated, or is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from functools import partial, wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from pymongo import AsyncMongoClient

from fhir_server.resilience import Breaker, BreakerOpen, has_written, pauses, policy_of, time_left
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreUnavailable
from fhir_server.storage.mongodb.connection import reason_of
from fhir_server.storage.mongodb.document import Document
from fhir_server.telemetry.health import Check, Finding
from fhir_server.telemetry.numbers import RETRIES

NAME: Final = "mongodb"
_LONG: Final = 2.0
"""Seconds after which a call that is not answered has the server asked whether it is there."""
_LONGEST_PAUSE: Final = 1.0
_CUT_AGAIN: Final = 0.2

T = TypeVar("T")
P = ParamSpec("P")


class _Tried(StoreUnavailable):
    """It was tried again, as often as it may be: whoever called does not do so once more."""


class _TooLong(Exception):
    """A call was cut."""


class _Cut:
    """Ends what the current task does when its time is up, or `now`; again and again until it does.

    `asyncio.timeout` cancels once, and before Python 3.12 `wait_for`, which the driver uses, may lose that.
    """

    def __init__(self, limit: float | None) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._fired = 0
        self._before = 0
        self._timer: asyncio.Handle | None = None
        if limit is not None:
            self._timer = self._loop.call_later(limit, self._fire)

    def __enter__(self) -> None:
        """Watch from now on."""
        assert self._task is not None
        self._before = self._task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Watch no more. Raises _TooLong where it was the cut that ended it."""
        assert self._task is not None
        if self._timer is not None:
            self._timer.cancel()
        left = self._before
        for _ in range(self._fired):
            left = self._task.uncancel()
        if self._fired and kind is asyncio.CancelledError and left <= self._before:
            raise _TooLong

    def now(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_soon(self._fire)

    def _fire(self) -> None:
        assert self._task is not None
        self._fired += 1
        self._task.cancel()
        self._timer = self._loop.call_later(_CUT_AGAIN, self._fire)


class _Asking:
    """Has the server asked whether it is there, now and then, for as long as a call is not answered."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._wait()

    def _wait(self) -> None:
        self.timer = asyncio.get_running_loop().call_later(_LONG, self._ask)

    def _ask(self) -> None:
        self._breaker.suspect("a call takes long")
        self._wait()


class Guard:
    """Limits, repeats and the breaker of one client."""

    def __init__(self, client: AsyncMongoClient[Document], settings: Settings) -> None:
        self.breaker = Breaker(NAME, partial(client.admin.command, "ping"), policy_of(settings))
        self.breaker.when_turned(self._turned)
        self._settings = settings
        self._cuts: set[_Cut] = set()

    def admit(self) -> None:
        """Let a call through. Raises StoreUnavailable at once while the breaker is open."""
        try:
            self.breaker.admit()
        except BreakerOpen as error:
            raise _Tried("the database does not answer", stored=_stored(), after=error.after) from None

    @asynccontextmanager
    async def call(self, limit: float | None) -> AsyncIterator[None]:
        """Do something that the server must answer in so many seconds; it ends when the breaker opens."""
        self.admit()
        asking, cut = _Asking(self.breaker), _Cut(limit)
        self._cuts.add(cut)
        try:
            with cut:
                yield
            self.breaker.succeeded()
        except _TooLong as error:
            raise StoreUnavailable("the database does not answer in time") from error
        except StoreUnavailable as error:
            self.breaker.failed(reason_of(error))
            raise
        finally:
            self._cuts.discard(cut)
            asking.timer.cancel()

    async def again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do what may be done twice: where the connection fails it is tried again, with jitter.

        Raises:
            StoreUnavailable: it failed each time, or there is no time left.
        """
        waits = pauses(self.breaker.policy.first, _LONGEST_PAUSE)
        for left in range(self.breaker.policy.tries, 0, -1):
            try:
                async with self.call(time_left(self._settings.store_deadline)):
                    return await call()
            except _Tried:
                raise
            except StoreUnavailable as error:
                wait = next(waits)
                if left == 1 or self.breaker.state != "closed" or time_left(_LONGEST_PAUSE) <= wait:
                    raise self.given_up() from error
            RETRIES.add("connection")
            await asyncio.sleep(wait)
        raise AssertionError("at least one try")

    def given_up(self) -> StoreUnavailable:
        """Return the error of a call that was tried often enough, and stored nothing."""
        return _Tried("the database does not answer", stored=_stored(), after=max(1.0, self.breaker.after))

    def check(self) -> Check:
        """Return what `/health/ready` asks: while the breaker is open the node takes no requests."""
        return Check("breaker", self._found, gates=True)

    async def _found(self) -> Finding:
        state = self.breaker.state
        if state == "closed":
            return Finding(details={"breaker": state})
        said = "the database does not answer; requests that need it get 503"
        return Finding("failing", said, {"breaker": state, "since_seconds": round(self.breaker.since, 1)})

    async def close(self) -> None:
        """Probe no more."""
        await self.breaker.close()

    def _turned(self, is_open: bool) -> None:
        """End the calls that nobody will answer."""
        if is_open:
            for cut in self._cuts:
                cut.now()


def _stored() -> Any:
    """What a request wrote before stays written."""
    return "unknown" if has_written() else "nothing"


class HasGuard(Protocol):
    """What makes guarded calls."""

    @property
    def guard(self) -> Guard | None:
        """What its calls go through; None: nothing is repeated."""


S = TypeVar("S", bound=HasGuard)


def reading(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Have a method repeated where the connection fails: it only reads, or doing it twice is once."""

    @wraps(method)
    async def repeated(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.guard is None:
            return await method(self, *args, **kwargs)
        return await self.guard.again(lambda: method(self, *args, **kwargs))

    return repeated


def once(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Have a method end when the breaker opens, and refused while it is open."""

    @wraps(method)
    async def limited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.guard.call(None) if self.guard is not None else nullcontext():
            return await method(self, *args, **kwargs)

    return limited
