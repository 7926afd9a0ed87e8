"""Faults of plugins: isolated, counted, shown in health; and which plugins are switched off while the server runs."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.plugins.finding import place_of

logger = logging.getLogger(__name__)
_KEPT = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: when (seconds since 1970), in what, the kind of error and the line of the plugin; no message, for
    messages quote values of patients."""

    at: float
    where: str
    what: str


@dataclass(slots=True)
class Faults:
    """What failed in this process, by plugin."""

    counts: Counter[str] = field(default_factory=Counter)
    latest: dict[str, deque[Fault]] = field(default_factory=dict)
    off: frozenset[str] = frozenset()

    def note(self, plugin: str, where: str, error: BaseException) -> None:
        """Count and log a failure."""
        what = _without_message(error)
        self.counts[plugin] += 1
        self.latest.setdefault(plugin, deque(maxlen=_KEPT)).append(Fault(time.time(), where, what))
        logger.error("plugin %s failed in its %s: %s", plugin, where, what)

    def is_off(self, plugin: str) -> bool:
        """Tell whether a plugin is switched off."""
        return plugin in self.off

    def switch_off(self, plugins: Iterable[str]) -> None:
        """Have exactly these switched off."""
        self.off = frozenset(plugins)


def _without_message(error: BaseException) -> str:
    _, _, where = place_of(error).rpartition(" at ")
    return f"{type(error).__name__} at {where}"
