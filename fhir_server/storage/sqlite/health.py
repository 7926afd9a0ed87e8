"""What an operator must know of a record: clock, space, and whether the last write went through."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

_QUIET = 60.0  # seconds between two warnings
TOLERATED = 2_000  # ms by which the log may run ahead of the clock: groups come faster than one a millisecond


def _elapsed() -> float:
    """Return seconds that went by, those in which the machine slept included."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a record's write side as this process saw it last.

    clock_behind, clock_ahead: milliseconds by which the clock was behind the log, or ahead of real time, at the last
    write; 0 within what is tolerated. reserve: space is kept back; without it nothing is written. fault: what the
    engine said when a write failed last, empty once one went through.
    """

    clock_behind: int = 0
    clock_ahead: int = 0
    reserve: bool = True
    fault: str = ""

    @property
    def sound(self) -> bool:
        """Tell whether nothing needs attention."""
        return self.reserve and not (self.clock_behind or self.clock_ahead or self.fault)


class ClockWatch:
    """Compares the clock with the log and with the time that really went by, at each commit group.

    Behind the log, `last_updated` goes on in single milliseconds. Ahead of real time (it was set forward by more than
    `skew` seconds), every later version must follow the times that were written meanwhile.
    """

    def __init__(self, skew: int, elapsed: Callable[[], float] = _elapsed) -> None:
        self._skew, self._elapsed = skew * 1000, elapsed
        self._start: tuple[int, float] | None = None
        self._warned = -_QUIET
        self.behind = self.ahead = self.log_time = 0

    def look(self, now: int, last_updated: int) -> None:
        """Take note of a commit at clock time `now` on a log that ends at `last_updated` (milliseconds)."""
        self.log_time = last_updated
        moment = self._elapsed()
        if self._start is None:
            self._start = (now, moment)
        ahead = now - self._start[0] - int((moment - self._start[1]) * 1000)
        self.behind = last_updated - now if last_updated - now > TOLERATED else 0
        self.ahead = ahead if ahead > self._skew else 0
        if (self.behind or self.ahead) and moment - self._warned >= _QUIET:
            self._warned = moment
            text = "the clock is %d ms behind the log and %d ms ahead of real time; new versions bear doubtful times"
            logger.warning(text, self.behind, self.ahead)
