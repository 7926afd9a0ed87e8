"""The archive of backups as operators watch it: in numbers, and in the health of each process that answers."""

import time
from collections.abc import Iterator
from typing import Final

from fhir_server.api.application import Application
from fhir_server.serving.archiving_state import read_state
from fhir_server.settings import Settings
from fhir_server.telemetry.health import Check, Finding
from fhir_server.telemetry.numbers import BACKUP_AGE, BACKUP_FAILING, BACKUP_LAG, BACKUP_WAITING
from fhir_server.telemetry.sharing import Sampled, sample_by

_BEHIND: Final = 300.0
"""Seconds of commits that the archive may lack before health says so."""


class BackupWatch:
    """Tells how the archive is, for as long as it is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        sample_by(self._sampled)

    def _sampled(self) -> Iterator[Sampled]:
        state, now = read_state(self._settings), time.time()
        if state is None:
            return
        if state.complete_until:
            yield BACKUP_LAG, max(0.0, now - state.complete_until), ()
        if state.last_base:
            yield BACKUP_AGE, max(0.0, now - state.last_base), ()
        yield BACKUP_WAITING, state.waiting_bytes, ()
        yield BACKUP_FAILING, float(bool(state.failing)), ()

    async def look(self) -> Finding:
        """Return how it is; requests are answered without it."""
        state = read_state(self._settings)
        if state is None:
            return Finding(details={"archive": "nothing yet"})
        if not state.complete_until:
            return Finding("degraded", state.failing or "the archive is not complete yet")
        lag = round(max(0.0, time.time() - state.complete_until), 1)
        if state.failing or lag > _BEHIND:
            return Finding("degraded", state.failing or "the archive is behind", {"lag_seconds": lag})
        return Finding(details={"lag_seconds": lag})


def watch_backups(app: Application) -> None:
    """Have the archive watched, if there is one."""
    if app.settings.backup_archive is not None:
        watch = BackupWatch(app.settings)  # the check keeps it
        app.checks.add(Check("backup", watch.look, fresh_for=5))
