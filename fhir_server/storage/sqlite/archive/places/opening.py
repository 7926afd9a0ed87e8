"""From the setting, or what a command was given, to the place that it names."""

import re
from pathlib import Path
from typing import Final

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.archive.places.bucket import bucket
from fhir_server.storage.sqlite.archive.places.client import Options
from fhir_server.storage.sqlite.archive.places.folder import Folder
from fhir_server.storage.sqlite.archive.places.place import Spot

_URL: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(\S*))?")


def open_archive(archive: Path | str, settings: Settings) -> Spot:
    """Return all of an archive; nothing is asked of it yet."""
    found = _URL.fullmatch(str(archive))
    if found is None:
        return Spot(Folder(Path(archive)))
    options = Options(
        bucket=found[1],
        prefix=(found[2] or "").strip("/"),
        endpoint=settings.backup_s3_endpoint,
        region=settings.backup_s3_region,
        path_style=settings.backup_s3_path_style,
        lock=settings.backup_s3_lock.upper() if settings.backup_s3_lock_days else "",
        lock_days=settings.backup_s3_lock_days,
        encryption=settings.backup_s3_encryption,
        key=settings.backup_s3_kms_key,
        timeout=settings.backup_s3_timeout,
        attempts=settings.backup_s3_attempts,
        part=settings.backup_s3_part_bytes,
    )
    return Spot(bucket(options))
