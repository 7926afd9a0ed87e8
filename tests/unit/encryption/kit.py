"""A data folder that is ready to be encrypted."""

from pathlib import Path

from fhir_server.encryption import rotation
from fhir_server.encryption.recovery import RecoveryKey
from fhir_server.settings import Settings


def ready(data_dir: Path, **values: object) -> tuple[Settings, RecoveryKey]:
    """Make master key and recovery key, confirmed; return settings under which new stores are encrypted."""
    known = {"data_dir": data_dir, "encryption": "on", "durable": False, "reserve_bytes": 0, **values}
    settings = Settings.model_validate(known)
    recovery = rotation.begin(settings)
    rotation.confirm(settings, recovery)
    return settings, recovery
