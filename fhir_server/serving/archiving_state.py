"""How the archive of a data folder is, for health and metrics: a file that its owner writes and every process reads."""

import json
from dataclasses import asdict, dataclass
from typing import Final

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.durable import renew

STATE: Final = "backup.json"


@dataclass(frozen=True, slots=True)
class BackupState:
    """How the archive is, for health and metrics; times in seconds since 1970.

    at: the last round. complete_until: all that was committed by then is in the archive (0: nothing yet). last_base:
    when the oldest of the newest base backups of all tenants was made (0: one has none). waiting_bytes: what waits on
    the local disk. failing: why it is behind; empty while all is well.
    """

    at: float
    complete_until: float = 0.0
    last_base: float = 0.0
    waiting_bytes: int = 0
    failing: str = ""


def read_state(settings: Settings) -> BackupState | None:
    """Return how the archive is, None where there is none or its first round is not done."""
    if settings.backup_archive is None:
        return None
    try:
        return BackupState(**json.loads((settings.data_dir / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_state(settings: Settings, state: BackupState) -> None:
    """Say how it is. Raises OSError."""
    renew(settings.data_dir / STATE, json.dumps(asdict(state)).encode(), "new")
