"""Rules that count within a window: patients read in bulk, reads out of hours, failed sign-ins."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TypeVar

from fhir_audit.breaches.seen import Finding, Seen, found
from fhir_audit.settings import AuditSettings

T = TypeVar("T")
_MOST = 20_000
"""Users that are counted at once; of more, those who came first are forgotten."""


@dataclass(slots=True)
class _Patients:
    """The patients whose data one user has read lately, in the order of the last time, and how many more an answer held
    than its row names."""

    last: dict[str, int] = field(default_factory=dict)
    unnamed: list[tuple[int, int]] = field(default_factory=list)
    seqs: deque[int] = field(default_factory=lambda: deque(maxlen=20))

    def add(self, seen: Seen) -> int:
        """Count a row; return the number with what may be too old to count."""
        last = self.last
        for patient in seen.facts.patients:
            last.pop(patient, None)
            last[patient] = seen.time
        self.seqs.append(seen.seq)
        if seen.facts.count > len(seen.facts.patients):
            self.unnamed.append((seen.time, seen.facts.count - len(seen.facts.patients)))
        return len(last) + (max(number for _, number in self.unnamed) if self.unnamed else 0)

    def forget(self, since: int) -> int:
        """Forget what is too old; return the number that is left."""
        self.last = {patient: time for patient, time in self.last.items() if time >= since}
        self.unnamed = [(time, number) for time, number in self.unnamed if time >= since]
        return len(self.last) + max((number for _, number in self.unnamed), default=0)


class Bulk:
    """Many patients read by one user in a short time."""

    def __init__(self, settings: AuditSettings) -> None:
        self._most, self._window = settings.bulk_patients, settings.bulk_window * 1_000
        self._of: dict[str, _Patients] = {}

    def look(self, seen: Seen) -> list[Finding]:
        """Count the patients of a row."""
        if not self._most or not seen.reads:
            return []
        patients = _of(self._of, seen.who, _Patients)
        if patients.add(seen) < self._most:
            return []
        number = patients.forget(seen.time - self._window)
        if number < self._most:
            return []
        del self._of[seen.who]  # who goes on begins anew
        said = f"{seen.name} read data of {number} patients within {self._window // 1_000} seconds"
        return [found("bulk-reads", seen, said, severity="high", count=number, seqs=tuple(patients.seqs))]


class OutOfHours:
    """Reads outside of working hours by users, not by apps of their own accord."""

    def __init__(self, settings: AuditSettings, zone: tzinfo) -> None:
        self._settings, self._zone = settings, zone
        self._from, _, self._to = settings.hours.partition("-")
        self._of: dict[str, deque[int]] = {}
        self._known: dict[int, bool] = {}

    def look(self, seen: Seen) -> list[Finding]:
        """Count a row that lies outside."""
        if not self._from or not seen.reads or not seen.agent.user or not self._is_for(seen.agent.roles):
            return []
        if self._works(seen.time):
            return []
        times = _of(self._of, seen.who, deque)
        times.append(seen.time)
        while times[0] < seen.time - self._settings.quiet * 1_000:
            times.popleft()
        number = len(times)
        if number < self._settings.hours_reads:
            return []
        del self._of[seen.who]
        local = datetime.fromtimestamp(seen.time / 1_000, self._zone)
        said = f"{seen.name} read data of patients outside of working hours, {local:%a %H:%M}"
        return [found("out-of-hours", seen, said, severity="low", count=number)]

    def _is_for(self, roles: tuple[str, ...]) -> bool:
        named = self._settings.hours_roles
        return not set(roles).isdisjoint(named) if named else roles != ("patient",)

    def _works(self, time: int) -> bool:
        """Tell whether a time lies within working hours; minutes that were asked about are remembered."""
        minute = time // 60_000
        known = self._known.get(minute)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[minute] = self._within(datetime.fromtimestamp(time / 1_000, self._zone))
        return known

    def _within(self, local: datetime) -> bool:
        day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()]
        clock = f"{local:%H:%M}"
        if self._from <= self._to:
            return day in self._settings.days and self._from <= clock < self._to
        return day in self._settings.days and (clock >= self._from or clock < self._to)


class FailedSignIns:
    """Passwords that are guessed: of one user, or from one address."""

    def __init__(self, settings: AuditSettings) -> None:
        self._most, self._window = settings.login_failures, settings.login_window * 1_000
        self._of: dict[str, deque[tuple[int, int]]] = {}

    def look(self, seen: Seen) -> list[Finding]:
        """Count a sign-in that failed."""
        if not self._most or not seen.failed_sign_in:
            return []
        names = [
            f"{kind}:{value}" for kind, value in (("address", seen.agent.address), ("name", seen.agent.user)) if value
        ]
        return [finding for name in names if (finding := self._count(name, seen)) is not None]

    def _count(self, name: str, seen: Seen) -> Finding | None:
        times = _of(self._of, name, deque)
        times.append((seen.time, max(seen.facts.count, 1)))
        while times[0][0] < seen.time - self._window:
            times.popleft()
        number = sum(count for _, count in times)
        if number < self._most:
            return None
        del self._of[name]
        said = f"{number} sign-ins failed within {self._window // 1_000} seconds, {name.replace(':', ' ', 1)}"
        return Finding("failed-sign-ins", name, seen.seq, seen.time, said, "high", count=number, seqs=(seen.seq,))


def _of(table: dict[str, T], name: str, made: Callable[[], T]) -> T:
    """Return what is counted of somebody, made where it is new."""
    one = table.get(name)
    if one is None:
        if len(table) >= _MOST:
            del table[next(iter(table))]
        one = table[name] = made()
    return one
