"""One bulk match as a record: the patients that were sent, what of them is wanted, how far it came."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fhir_bulk.records import FIELDS, File, Kind
from fhir_server.plugin_api import Collection, Record, RecordChange


@dataclass(frozen=True, slots=True)
class Matching:
    """One bulk match; times are milliseconds since 1970.

    source, size: the NDJSON of the patients. offset, line: where the work goes on. count: most matches of one; 0: any.
    pending: OperationOutcomes of lines that could not be matched, before they become a file.
    """

    id: str
    owner: str
    request: str
    source: str
    size: int
    created: int
    expires: int
    count: int = 0
    certain: bool = False
    state: Literal["open", "done"] = "open"
    offset: int = 0
    line: int = 0
    pending: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    finished: int = 0
    token: bool = True
    scopes: str = ""
    revision: int = 0

    @property
    def blobs(self) -> tuple[str, ...]:
        """Its large objects."""
        return (self.source, *(file.blob for file in self.files))

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else has meanwhile."""
        value = {name: getattr(self, name) for name in _PLAIN} | {"scopes": self.scopes}
        value |= {"pending": list(self.pending), "files": [asdict(file) for file in self.files]}
        return RecordChange(MATCHES.collection.name, self.id, value, expected=self.revision)


_PLAIN = (
    "owner", "request", "source", "size", "created", "expires", "count", "certain", "state", "offset", "line",
    "finished", "token",
)  # fmt: skip


def _read(record: Record) -> Matching:
    value: Mapping[str, Any] = record.value
    return Matching(
        id=record.key,
        pending=tuple(value["pending"]),
        files=tuple(File(**file) for file in value["files"]),
        revision=record.revision,
        scopes=value.get("scopes", ""),
        **{name: value[name] for name in _PLAIN},
    )


MATCHES = Kind(Collection("fhir_bulk.matches", FIELDS), _read, "match")
