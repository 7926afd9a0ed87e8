"""Rate limits: how often clients, users, tenants and addresses may ask, counted over all workers of a data folder.

A worker takes a part of a window's requests at a time from a small file that all share, and spends those without
asking; so a request costs a look into a dict, and all workers together never let more through than the limit.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import apsw
from limits import RateLimitItem, parse_many

from fhir_server.errors import TooManyRequests
from fhir_server.settings import Settings

FILE = "limits.db"
KINDS = ("sign_in", "token", "client", "user", "tenant", "address")
_MOST = 50_000
_PARTS = 100
_EXACT = 200
"""Limits up to this many are taken one by one."""
_CLEAN_EVERY = 1_000


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


class Limits:
    """The limits of one process.

    Args:
        now: milliseconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, now: Callable[[], int]) -> None:
        self._rules = rules_of(settings)
        self._counts = _Counts(settings.data_dir / FILE)
        self._now = now
        self._leases: OrderedDict[tuple[str, int, str], _Lease] = OrderedDict()

    def under(self, settings: Settings) -> "Limits":
        """Return the limits of a tenant with settings of its own, counted in the same file."""
        other = Limits(settings, self._now)
        other._counts, other._leases = self._counts, self._leases
        return other

    def has(self, *kinds: str) -> bool:
        """Tell whether there is a limit of one of these kinds."""
        return any(kind in self._rules for kind in kinds)

    def spend(self, kind: str, key: str) -> None:
        """Count one request. Raises TooManyRequests."""
        for place, rule in enumerate(self._rules.get(kind, ())):
            seconds = self._now() // 1000
            window, period = seconds // rule.get_expiry(), rule.get_expiry()
            if not self._spent((kind, place, key), window, rule):
                raise _refusal(kind, rule, (window + 1) * period - seconds)

    def _spent(self, name: tuple[str, int, str], window: int, rule: RateLimitItem) -> bool:
        lease = self._leases.get(name)
        if lease is None or lease.window != window:
            lease = self._leases[name] = _Lease(window, 0)
            self._leases.move_to_end(name)
            if len(self._leases) > _MOST:
                self._leases.popitem(last=False)
        if lease.left == 0:
            wanted = 1 if rule.amount <= _EXACT else rule.amount // _PARTS
            lease.left = self._counts.take("|".join(map(str, name)), (window, rule.get_expiry()), rule.amount, wanted)
        if lease.left == 0:
            return False
        lease.left -= 1
        return True


class _Counts:
    """What was taken of each window, in a file that nothing depends on: it may be lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: apsw.Connection | None = None
        self._taken = 0

    def take(self, name: str, window: tuple[int, int], most: int, wanted: int) -> int:
        """Take up to `wanted` of what is left of a window (its number and length); return how many."""
        db = self._db or self._open()
        self._taken += 1
        number, period = window
        with db:
            if self._taken % _CLEAN_EVERY == 0:
                db.execute("DELETE FROM counts WHERE ends < ?", (number * period,))
            row = db.execute("SELECT count FROM counts WHERE name = ? AND number = ?", (name, number)).fetchone()
            count = int(row[0]) if row else 0
            given = max(0, min(wanted, most - count))
            if given:
                values = (name, number, count + given, (number + 1) * period)
                db.execute("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)", values)
        return given

    def _open(self) -> apsw.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = self._db = apsw.Connection(str(self._path))
        db.set_busy_timeout(2_000)
        db.transaction_mode = "IMMEDIATE"
        db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
        db.execute(
            "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, number INT, count INT, ends INT) WITHOUT ROWID"
        )
        return db


def _refusal(kind: str, rule: RateLimitItem, seconds: int) -> TooManyRequests:
    who = {"sign_in": "sign-ins from this address", "token": "calls of this endpoint by this address"}
    said = who.get(kind, f"requests of this {kind}")
    refusal = TooManyRequests(f"too many {said}: {rule.amount} in {rule.get_expiry()} s; wait {seconds} s")
    refusal.headers["retry-after"] = str(seconds)
    return refusal
