"""Settings: a search index beside the store."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Count, Positive, Section


class SearchIndex(Section):
    """A search index beside the store."""

    search_index: Literal["none", "elasticsearch"] = Field(
        "none", description="What helps the database to search (docs/search_index.md)."
    )
    elasticsearch_url: str = Field(
        "http://127.0.0.1:9200", description="Addresses of the nodes of Elasticsearch, with commas between."
    )
    elasticsearch_user: str = Field("", description="User of Elasticsearch.")
    elasticsearch_password: str = Field("", description="Password of that user.")
    elasticsearch_api_key: str = Field("", description="API key of Elasticsearch, instead of user and password.")
    elasticsearch_ca: Path | None = Field(None, description="PEM file with the authority of its certificates.")
    elasticsearch_index: str = Field(
        "fhir",
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$",
        description="Name that all indexes of this server begin with; each tenant has one of its own.",
    )
    elasticsearch_shards: Positive = Field(1, description="Shards of a new index.")
    elasticsearch_replicas: Count = Field(1, description="Most copies of each shard; fewer where there are few nodes.")
    elasticsearch_timeout: float = Field(
        5, gt=0, description="Seconds to wait for an answer of the index; then the database searches alone."
    )
    elasticsearch_bulk_timeout: float = Field(60, gt=0, description="Seconds that a write to the index may take.")
    elasticsearch_batch: Positive = Field(1_000, description="Versions that are written to the index at once.")
    elasticsearch_pause: float = Field(
        0.5, ge=0, description="Seconds between two writes to the index, so that several commits share one."
    )
    elasticsearch_unindexed: Count = Field(
        1_000,
        description="Changes not yet in the index that a search looks at beside it; of more it says that it lags.",
    )
    elasticsearch_lag: Positive = Field(60, description="Seconds of lag over which the index counts as unwell.")
    elasticsearch_candidates: Positive = Field(
        10_000, description="Candidates of the index looked at for one page; of more the database searches alone."
    )
    elasticsearch_counted: Positive = Field(
        100_000, description="Candidates looked at for a total; of more the database counts alone."
    )
    elasticsearch_counts_wait: float = Field(
        2, ge=0, description="Seconds that $count-by waits for the index to have all; then it counts without it."
    )
    elasticsearch_sorts: bool = Field(
        True, description="Whether the index gives those orders of `_sort` that the database has no index for."
    )
    elasticsearch_build: Count = Field(
        0, description="Raise it to have every index built anew, while the old one answers."
    )
