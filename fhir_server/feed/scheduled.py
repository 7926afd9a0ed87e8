"""Scheduled: work that is done on the clock, once for the installation or for each tenant."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.feed.cron import Cron

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Cron-like work. A run that was missed while the server was down is made up for once; runs never overlap.

    Attributes:
        name: of the record of its last run.
        handler: `async handler(context)`; what it raises is noted, and it runs again at its next time.
        every: seconds between the starts of two runs, or
        cron: `minute hour day month weekday` in the zone of the setting `default_timezone`; one of the two.
        each_tenant: it runs for each active tenant with that tenant's context, else once, with that of the default one.
        written_only: with each_tenant: only for tenants that were written since its last run there.
        timeout: seconds after which a run is ended; 0: as the setting `schedule_timeout` says.
    """

    name: str
    handler: Callable[[Any], Awaitable[None]]
    every: float = 0
    cron: str = ""
    each_tenant: bool = False
    written_only: bool = False
    timeout: float = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ValueError."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"scheduled {self.name!r}: a name is made of a-z, 0-9, '.', '_' and '-', 80 at most")
        if (self.every > 0) == bool(self.cron):
            raise ValueError(f"scheduled {self.name}: give either every (seconds) or cron")
        if self.every < 0 or self.timeout < 0 or (0 < self.every < 1):
            raise ValueError(f"scheduled {self.name}: every is 1 second or more, timeout 0 or more")
        if self.cron:
            Cron.parse(self.cron)
