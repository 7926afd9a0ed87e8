"""A job as a record: what was asked, by whom, how far it came, what it ended in.

Spec: https://hl7.org/fhir/R4/async.html
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from fhir_server.context import Caller, JobFile
from fhir_server.model.exchange import FhirRequest
from fhir_server.storage.base import Collection, Record, RecordField

State = Literal["queued", "running", "stalled", "failed", "cancelled", "done"]
JOBS = Collection("jobs", (RecordField("state"), RecordField("beat", "integer"), RecordField("ended", "integer")))
STALE = 10_000
"""Milliseconds without a sign of life after which a job counts as stalled: its process is gone or stuck."""
OPEN: tuple[State, ...] = ("queued", "running", "stalled")


@dataclass(frozen=True, slots=True)
class Job:
    """One job; times are milliseconds since 1970 UTC.

    owner, beat: the process that has it, and its last sign of life.
    done, of: progress in whatever the work counts; 0 of 0 where it does not tell.
    background: its answer is the result as it is, and another process may run it again from its checkpoint.
    kind: the operation, or the interaction. tries: how often it was begun.
    checkpoint, files: what its work has saved so far.
    blob, status, headers, media_type: the answer; `error` says what went wrong when there is none.
    """

    id: str
    request: FhirRequest
    caller: Caller
    created: int
    background: bool = False
    kind: str = ""
    tries: int = 0
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[JobFile, ...] = ()
    state: State = "queued"
    owner: str = ""
    beat: int = 0
    ended: int = 0
    done: int = 0
    of: int = 0
    status: int = 0
    blob: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""
    error: str = ""

    def seen_at(self, now: int) -> "Job":
        """Return the job as it must be told of: what gives no sign of life is stalled, whatever its record says.

        One that waits for its turn in no process's hands is queued for as long as it takes.
        """
        if self.state in ("queued", "running") and self.owner and now - self.beat > STALE:
            return replace(self, state="stalled")
        return self

    @property
    def progress(self) -> str:
        """The text of X-Progress: `done/of` first, for programs."""
        share = f", {100 * self.done // self.of} %" if self.of else ""
        return f"{self.done}/{self.of} {self.state}{share}"

    def as_record(self) -> dict[str, Any]:
        """Return the value of its record."""
        value = {name: getattr(self, name) for name in _PLAIN}
        return {
            **value,
            "headers": dict(self.headers),
            "checkpoint": dict(self.checkpoint),
            "files": [asdict(file) for file in self.files],
            "caller": asdict(self.caller),
            "request": _request_as_json(self.request),
        }


_PLAIN = (
    "created", "background", "kind", "tries", "state", "owner", "beat", "ended", "done", "of", "status", "blob",
    "media_type", "error",
)  # fmt: skip
_TEXTS = (
    "method", "interaction", "base", "type", "id", "vid", "operation", "content_type", "tenant", "request_id", "grant",
)  # fmt: skip


_HEADERS = ("accept", "accept-language", "prefer")
"""The headers that what is run in another process may need."""


def read_job(record: Record) -> Job:
    """Return the job of a record."""
    value: Mapping[str, Any] = record.value
    plain = {name: value[name] for name in _PLAIN if name in value}
    return Job(
        id=record.key,
        request=_request_of(value["request"]),
        caller=Caller(**value["caller"]),
        headers=value["headers"],
        checkpoint=value.get("checkpoint", {}),
        files=tuple(JobFile(**each) for each in value.get("files", ())),
        **plain,
    )


def _request_as_json(request: FhirRequest) -> dict[str, Any]:
    """Compartments need no place: a search in one is not run again."""
    found: dict[str, Any] = {name: getattr(request, name) for name in _TEXTS}
    found["headers"] = {name: request.headers[name] for name in _HEADERS if name in request.headers}
    return {**found, "query": [list(pair) for pair in request.query], "body": request.body.decode("latin-1")}


def _request_of(value: Mapping[str, Any]) -> FhirRequest:
    texts = {name: value[name] for name in _TEXTS if name in value}
    query = tuple((name, text) for name, text in value["query"])
    return FhirRequest(**texts, query=query, headers=value.get("headers", {}), body=value["body"].encode("latin-1"))
