"""Settings: the store, and the embedded engine."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Count, Positive, Section


class Storage(Section):
    """The store, and the embedded engine."""

    storage: Literal["sqlite", "mongodb"] = Field("sqlite", description="Engine that keeps the record.")
    encryption: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether stores are encrypted (docs/encryption.md); `auto` does with an `encryption_key`."
    )
    encryption_key: str = Field(
        "",
        description="Master key: `file:PATH`, `env:NAME`, `aws-kms:KEY`, `vault:MOUNT/KEY` or `pkcs11:URI`; empty: "
        "a file beside the data folder.",
    )
    envelopes: Literal["on", "off"] = Field(
        "on", description="Whether an encrypted store seals each resource under the key of its patient too."
    )
    patient_keys: Path | None = Field(
        None, description="Folder of the keys of patients, which no backup may hold; empty: one beside the data folder."
    )
    patient_keys_copy: Path | None = Field(
        None, description="Folder, on another machine, of their only copy: backups and erasures keep it up to date."
    )
    rotate_live: Count = Field(
        1_000_000_000,
        description="Bytes of a record up to which a new key comes into force while it serves (writes wait some "
        "seconds); of a larger one when the server starts.",
    )
    group_commit: Positive = Field(64, description="Most commits that share one fsync.")
    cache_bytes: Positive = Field(64_000_000, description="Page cache of each process.")
    readers: Positive = Field(4, description="Threads of each process that run searches.")
    reserve_bytes: Count = Field(16_000_000, description="Space kept free so that reads survive a full disk.")
    checkpoint_pages: Positive = Field(50_000, description="WAL pages (of 4 KB) after which a checkpoint runs.")
    lock_timeout: Positive = Field(30, description="Seconds to wait for the turn to write.")
    clock_skew: Positive = Field(
        300, description="Seconds by which the clock may run ahead of the log before an alarm."
    )
    durable: bool = Field(True, description="fsync each commit group; only tests switch it off.")
    max_text_lag: Positive = Field(5, description="Seconds that a full-text search waits for its index to catch up.")
