"""Settings: archive of backups, and its goals."""

from pathlib import Path

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class Backups(Section):
    """Archive of backups, and its goals."""

    backup_archive: Path | None = Field(
        None,
        description="Folder, on another disk or machine, that gets base backups and after each everything that is "
        "committed, for restores to an instant (docs/backup.md); empty: none.",
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
    recovery_point_goal: Positive = Field(3_600, description="Seconds of writes that a restore may lack (RPO).")
    recovery_time_goal: Positive = Field(900, description="Seconds until a restored server answers (RTO).")
