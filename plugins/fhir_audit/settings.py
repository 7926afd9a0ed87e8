"""Settings of the plugin: what counts as a breach, and who is told."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_HOURS: Final = r"^$|^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$"
_TARGET: Final = re.compile(r"(https?|tls|tcp)://[^/\s]+\S*|file:/\S+", re.ASCII)
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Positive = Annotated[int, Field(gt=0)]
Target = Annotated[str, Field(pattern=_TARGET.pattern)]


class AuditSettings(BaseModel):
    """Settings of `fhir_audit`; times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    look_every: float = Field(5, ge=1, description="Seconds between two looks at what was recorded.")
    quiet: Positive = Field(86_400, description="Window in which one rule alerts once for one user.")
    most_alerts: Positive = Field(
        200, description="Alerts of one rule in a window; one more stands for all that would follow."
    )
    exempt: tuple[str, ...] = Field(
        (), description="Accounts, apps (`app:ID`) and subjects (`Practitioner/1`) that no rule looks at."
    )
    bulk_patients: int = Field(100, ge=0, description="Patients whose data one user may read in a window; 0: no rule.")
    bulk_window: Positive = Field(3_600, description="Window of the rule for bulk reads.")
    bulk_exports: bool = Field(True, description="Whether asking for a bulk export alerts, unless by who is exempt.")
    vip_labels: tuple[str, ...] = Field(
        ("VIP", "CEL"), description="Codes of security labels that make a Patient one to be watched."
    )
    vip_flags: tuple[str, ...] = Field(("VIP",), description="Codes of active Flags that do the same.")
    vip_patients: tuple[str, ...] = Field((), description="Logical ids of Patients to be watched.")
    vip_list: str = Field("", description="List whose Patients are to be watched: `List/vip`.")
    vip_life: float = Field(30, ge=0, description="Seconds for which it is remembered who is to be watched.")
    household: Literal["off", "address", "either"] = Field(
        "either",
        description="Whether reading one's household alerts: at the same address, or `either` that or the same surname "
        "in the same place.",
    )
    own_record: bool = Field(True, description="Whether staff who open their own record alert.")
    hours: str = Field("", pattern=_HOURS, description="Working hours, as `07:00-19:00`; empty: no rule.")
    days: tuple[Day, ...] = Field(("mon", "tue", "wed", "thu", "fri"), description="Working days.")
    hours_roles: tuple[str, ...] = Field((), description="Roles that working hours are for; empty: all users.")
    hours_reads: Positive = Field(1, description="Reads outside of working hours that alert.")
    login_failures: int = Field(
        10, ge=0, description="Failed sign-ins of one user, or from one address, that alert; 0: no rule."
    )
    login_window: Positive = Field(600, description="Window of the rule for failed sign-ins.")
    tpo_apps: tuple[str, ...] = Field(
        (), description="Apps of their own accord that act for treatment, payment or operations, unless they say else."
    )
    tpo_purposes: tuple[str, ...] = Field(
        (), description="Further purposes of use (codes) that need no account of disclosures."
    )
    archive: Path | None = Field(
        None, description="Folder to which the audit is copied with its signed heads, in files that are never changed."
    )
    s3: str = Field(
        "",
        pattern=r"^$|^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?$",
        description="Bucket for the same: `s3://bucket/prefix`.",
    )
    s3_endpoint: str = Field("", description="URL of a store that speaks S3; empty: that of the region.")
    s3_region: str = Field("", description="Region of the bucket; empty: as boto3 finds it.")
    s3_lock: Literal["compliance", "governance"] = Field("compliance", description="Mode of the Object Lock.")
    s3_lock_days: int = Field(
        0, ge=0, description="Days for which nobody can delete an object; 0: as the bucket does by default."
    )
    siem: str = Field(
        "", pattern=r"^$|^((tls|tcp)://[^/\s]+|file:/\S+)$",
        description="Where each event goes too: `tls://host:port`, `tcp://host:port`, `file:/path`.",
    )  # fmt: skip
    siem_ca: str = Field("", description="File of certificates that the SIEM is checked against.")
    recipient: str = Field("", description="Who the Communications are for: `Organization/privacy`.")
    targets: tuple[Target, ...] = Field(
        (), description="Where alerts go: `https://host/path`, `tls://host:port`, `tcp://host:port`, `file:/path`."
    )
    target_secret: SecretStr = Field(
        SecretStr(""), description="Key of the HMAC that a webhook is signed with; empty: not signed."
    )
    target_ca: str = Field("", description="File of certificates that targets are checked against.")
