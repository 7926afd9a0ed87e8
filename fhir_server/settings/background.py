"""Settings: change feed, scheduled work, jobs."""

from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class Background(Section):
    """Change feed, scheduled work, jobs."""

    background: Literal["auto", "own", "inside"] = Field(
        "auto",
        description="Where feed consumers, scheduled work and background jobs run: in a process of their `own`, or "
        "`inside` the one that answers requests; `auto`: of their own if there are several workers.",
    )
    feed_timeout: float = Field(60, gt=0, description="Seconds that a consumer may take for a batch, if it names none.")
    feed_retry_first: float = Field(
        1, gt=0, description="Seconds after which what a consumer failed at is tried again; doubled at each failure."
    )
    feed_retry_longest: float = Field(900, gt=0, description="Most seconds between two tries of a delivery.")
    feed_retry_for: Positive = Field(
        86_400, description="Seconds for which a delivery is tried before it becomes a dead letter."
    )
    feed_alarm: Positive = Field(600, description="Seconds after which a consumer that takes nothing raises an alarm.")
    feed_waiting: Positive = Field(
        1_000, description="Most changes that wait for another try beside the stream, for each partition of a consumer."
    )
    feed_fallback: Positive = Field(
        60, description="Seconds between looks for written tenants, should a wake-up have been lost."
    )
    feed_linger: Positive = Field(5, description="Seconds for which a tenant without changes is kept open by the feed.")
    feed_tenants: Positive = Field(8, description="Tenants whose changes are delivered at the same time.")
    schedule_timeout: Positive = Field(3_600, description="Seconds that a scheduled run may take, if it names none.")
    job_life: Positive = Field(86_400, description="Seconds for which the result of a job is kept.")
    jobs_at_once: Positive = Field(2, description="Jobs that one process runs at the same time; others wait.")
    job_tries: Positive = Field(5, description="Times that a job is begun again after its process died.")
