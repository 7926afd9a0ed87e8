"""One export as a record: what was asked, by whom, the instant it is of, its files and how far it came."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fhir_bulk.asked import Asked
from fhir_bulk.records import FIELDS, File, Kind
from fhir_server.plugin_api import Collection, Record, RecordChange


@dataclass(frozen=True, slots=True)
class Place:
    """How far it came: a step of the plan, a part of its patients, and the row behind which to go on."""

    step: int = 0
    part: int = 0
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """One export; times are milliseconds since 1970. revision: of its record as it was read.

    txid, instant: the commit of which everything is, pinned when the work begins; 0 before.
    refs: what resources that were written point at, and is no part of any patient's record, by type.
    """

    id: str
    owner: str
    request: str
    asked: Asked
    created: int
    expires: int
    state: Literal["open", "done"] = "open"
    txid: int = 0
    instant: int = 0
    place: Place = Place()
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()
    refs: Mapping[str, Sequence[str]] | None = None
    written: int = 0
    token: bool = True
    scopes: str = ""
    revision: int = 0

    @property
    def blobs(self) -> tuple[str, ...]:
        """Its large objects."""
        return tuple(file.blob for file in self.files)

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else has meanwhile."""
        value = {name: getattr(self, name) for name in _PLAIN} | {"scopes": self.scopes}
        value |= {"asked": self.asked.as_json(), "place": asdict(self.place), "refs": dict(self.refs or {})}
        value |= {"files": [asdict(file) for file in self.files], "notes": list(self.notes)}
        return RecordChange(EXPORTS.collection.name, self.id, value, expected=self.revision)


_PLAIN = ("owner", "request", "created", "expires", "state", "txid", "instant", "written", "token")


def _read(record: Record) -> Export:
    value: Mapping[str, Any] = record.value
    return Export(
        id=record.key,
        asked=Asked.of_json(value["asked"]),
        place=Place(**value["place"]),
        files=tuple(File(**file) for file in value["files"]),
        notes=tuple(value["notes"]),
        refs={type_: tuple(ids) for type_, ids in value["refs"].items()},
        revision=record.revision,
        scopes=value.get("scopes", ""),
        **{name: value[name] for name in _PLAIN},
    )


EXPORTS = Kind(Collection("fhir_bulk.exports", FIELDS), _read, "export")
