"""Rate limits: how often clients, users, tenants and addresses may ask, counted over all workers and nodes.

A process takes a part of a window's requests at a time from counts that all share, and spends those without asking; so
a request costs a look into a dict, and all processes together never let more through than the limit. Where the counts
do not answer, each node counts for itself until they do.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from limits import RateLimitItem, parse_many

from fhir_server.auth.counts import FILE, Counts, CountsAway, FileCounts
from fhir_server.auth.counts.counts import Window
from fhir_server.errors import TooManyRequests
from fhir_server.settings import Settings

_log = logging.getLogger("fhir_server.limits")
KINDS = ("sign_in", "token", "client", "user", "tenant", "address")
_MOST = 50_000
_PARTS = 100
_EXACT = 200
"""Limits up to this many are taken one by one."""
_TOLD_EVERY = 60.0


class BadLimit(Exception):
    """A limit that cannot be read; the message names the setting."""


def rules_of(settings: Settings) -> Mapping[str, tuple[RateLimitItem, ...]]:
    """Return the limits that are set, by kind. Raises BadLimit."""
    found: dict[str, tuple[RateLimitItem, ...]] = {}
    for kind in KINDS:
        text = getattr(settings, f"rate_{kind}")
        if not text:
            continue
        try:
            found[kind] = tuple(parse_many(text))
        except ValueError:
            raise BadLimit(f"rate_{kind}: {text!r} is no limit such as 20/minute;100/hour") from None
    return found


@dataclass(slots=True)
class _Lease:
    window: int
    left: int
    spent: int = 0  # of a limit of so many nothing is left, so the place of the counts needs not be asked again
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limits:
    """The limits of one process.

    Args:
        now: milliseconds since 1970 UTC.
        counts: what all processes share; a file of the data folder without.
    """

    def __init__(self, settings: Settings, now: Callable[[], int], counts: Counts | None = None) -> None:
        self._rules = rules_of(settings)
        own = FileCounts(settings.data_dir / FILE)
        self._counts = _Shared(counts or own, own)
        self._now = now
        self._leases: OrderedDict[tuple[str, int, str], _Lease] = OrderedDict()

    def under(self, settings: Settings) -> "Limits":
        """Return the limits of a tenant with settings of its own, counted in the same place."""
        other = Limits(settings, self._now)
        other._counts, other._leases = self._counts, self._leases
        return other

    def has(self, *kinds: str) -> bool:
        """Tell whether there is a limit of one of these kinds."""
        return any(kind in self._rules for kind in kinds)

    async def spend(self, kind: str, key: str) -> None:
        """Count one request. Raises TooManyRequests."""
        for place, rule in enumerate(self._rules.get(kind, ())):
            seconds = self._now() // 1000
            window = Window(seconds // rule.get_expiry(), rule.get_expiry())
            if not await self._spent((kind, place, key), window, rule.amount):
                raise _refusal(kind, rule, window.ends - seconds)

    async def _spent(self, name: tuple[str, int, str], window: Window, most: int) -> bool:
        lease = self._leases.get(name)
        if lease is None or lease.window != window.number:
            lease = self._leases[name] = _Lease(window.number, 0)
            self._leases.move_to_end(name)
            if len(self._leases) > _MOST:
                self._leases.popitem(last=False)
        if lease.left == 0 and lease.spent < most:
            async with lease.turn:  # who comes meanwhile waits for what is taken, and takes more if it is not enough
                if lease.left == 0 and lease.spent < most:
                    wanted = 1 if most <= _EXACT else most // _PARTS
                    lease.left = await self._counts.take("|".join(map(str, name)), window, most, wanted)
                    lease.spent = 0 if lease.left else most
        if lease.left == 0:
            return False
        lease.left -= 1
        return True


class _Shared:
    """Shared counts, and those of this node for when they do not answer."""

    def __init__(self, counts: Counts, own: Counts) -> None:
        self._counts, self._own, self._told = counts, own, 0.0

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        """Take up to `wanted` of what is left of a window."""
        try:
            return await self._counts.take(name, window, most, wanted)
        except CountsAway as error:
            if time.monotonic() - self._told > _TOLD_EVERY or not self._told:
                self._told = time.monotonic()
                _log.warning("rate limits are counted by each node for itself: %s", error)
            return await self._own.take(name, window, most, wanted)


def _refusal(kind: str, rule: RateLimitItem, seconds: int) -> TooManyRequests:
    who = {"sign_in": "sign-ins from this address", "token": "calls of this endpoint by this address"}
    said = who.get(kind, f"requests of this {kind}")
    refusal = TooManyRequests(f"too many {said}: {rule.amount} in {rule.get_expiry()} s; wait {seconds} s")
    refusal.headers["retry-after"] = str(seconds)
    return refusal
