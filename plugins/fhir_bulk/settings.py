"""The settings of bulk data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class BulkSettings(BaseModel):
    """Sizes are bytes, times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    downloads: Literal["token", "signed"] = Field(
        "token", description="Files are fetched with an access token, or by signed URLs that need none."
    )
    keep: Positive = Field(86_400, description="How long the files of a finished job are kept.")
    file_resources: Positive = Field(250_000, description="Most resources in one file.")
    file_bytes: Positive = Field(256_000_000, description="Size at which a file ends and the next one begins.")
    manifest_files: Positive = Field(100, description="Files in one manifest, where clients take partial manifests.")
    page: Positive = Field(2_000, description="Resources read at once.")
    patients_at_once: Positive = Field(200, description="Patients of a group whose records are read together.")
    open_jobs: Positive = Field(5, description="Most unfinished exports and imports of one client; more get 429.")
    polls: Count = Field(20, description="Most status requests to one job in a second; more get 429. 0: no limit.")
    retry_after: Positive = Field(30, description="Longest wait that a status answer asks a client for.")
    import_hosts: tuple[str, ...] = Field(
        (), description="Hosts that $import may fetch from; `*` is every host of the public network."
    )
    import_inside: bool = Field(
        False, description="Whether those hosts may lie in private networks and be asked by plain HTTP."
    )
    import_bytes: Positive = Field(50_000_000_000, description="Largest file that $import takes, unpacked.")
    import_line: Positive = Field(16_000_000, description="Longest line that $import takes.")
    import_batch: Positive = Field(500, description="Resources that $import writes in one commit.")
    import_timeout: Positive = Field(60, description="Seconds after which a host that sends nothing is given up.")
