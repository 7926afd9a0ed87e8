"""Settings: archive of backups, and its goals."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from fhir_server.settings.kinds import Count, Positive, Section

_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?")
_SMALLEST_PART: Final = 5_242_880  # of S3


def archive(value: Any) -> Any:
    """Return what names an archive: a bucket as it is, anything else as a folder. Raises ValueError."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str | None):
        raise ValueError("a folder, or a bucket such as s3://bucket/prefix")
    if value is None or not value.startswith("s3:"):
        return Path(value) if value else None
    if not _BUCKET.fullmatch(value):
        raise ValueError(f"{value!r} is no bucket such as s3://bucket or s3://bucket/prefix")
    return value


class Backups(Section):
    """Archive of backups, and its goals."""

    backup_archive: Annotated[Path | str | None, PlainValidator(archive)] = Field(
        None,
        description="Folder, on another disk or machine, or bucket (`s3://bucket/prefix`) that gets base backups and "
        "after each everything that is committed, for restores to an instant (docs/backup.md); empty: none.",
    )
    backup_every: float = Field(2, gt=0, description="Seconds between two looks at what the archive lacks.")
    backup_base_every: Positive = Field(24, description="Hours after which the archive gets a new base backup.")
    backup_keep: Positive = Field(14, description="Days back that a restore from the archive reaches.")
    backup_spool_bytes: Positive = Field(
        1_000_000_000,
        description="Bytes that wait on the local disk, by tenant, for an archive that cannot be written; beyond, they "
        "are dropped, and the next thing that the archive gets is a new base backup.",
    )
    backup_stop_grace: Positive = Field(
        10,
        description="Seconds that a stop waits for the archive to have the last; what it has not got by then waits on "
        "the local disk for the next start.",
    )
    backup_s3_endpoint: str = Field(
        "", description="Archive in a bucket: URL of a store that speaks S3; empty: that of the region at AWS."
    )
    backup_s3_region: str = Field("", description="Region of that bucket; empty: as boto3 finds it.")
    backup_s3_path_style: bool = Field(
        False, description="Name the bucket in the path, not in the host name, as stores of one's own want it."
    )
    backup_s3_lock: Literal["governance", "compliance"] = Field(
        "compliance", description="Mode of the Object Lock, where `backup_s3_lock_days` is set."
    )
    backup_s3_lock_days: Count = Field(
        0,
        description="Days for which nobody can change or remove what is written to that bucket, which must have Object "
        "Lock; not more than `backup_keep`. 0: what the bucket does by itself.",
    )
    backup_s3_encryption: Literal["", "AES256", "aws:kms"] = Field(
        "", description="Encryption that is asked of the bucket's side; empty: what the bucket does by itself."
    )
    backup_s3_kms_key: str = Field("", description="Key of KMS for `aws:kms`; empty: that of the bucket or account.")
    backup_s3_timeout: Positive = Field(30, description="Seconds without a byte after which the bucket is asked anew.")
    backup_s3_attempts: Positive = Field(
        3, description="How often a request to the bucket is made, before its failure is told and the next round comes."
    )
    backup_s3_part_bytes: int = Field(
        64_000_000, ge=_SMALLEST_PART, description="Bytes from which a file goes to the bucket in parts, of that size."
    )
    recovery_point_goal: Positive = Field(3_600, description="Seconds of writes that a restore may lack (RPO).")
    recovery_time_goal: Positive = Field(900, description="Seconds until a restored server answers (RTO).")

    @model_validator(mode="after")
    def _bucket_fits(self) -> Self:
        """Refuse a lock that would keep what is past its days, and what could not be spoken to."""
        if self.backup_s3_lock_days > self.backup_keep:
            raise ValueError("backup_s3_lock_days: not more than backup_keep, which says when backups go")
        if isinstance(self.backup_archive, str) and find_spec("boto3") is None:
            raise ValueError("backup_archive: a bucket needs a package, pip install 'fhir-server[s3]'")
        if self.backup_s3_kms_key and self.backup_s3_encryption != "aws:kms":
            raise ValueError("backup_s3_kms_key: needs backup_s3_encryption aws:kms")
        return self
