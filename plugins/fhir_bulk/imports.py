"""One import as a record: its files, how far it came in them, what was refused."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fhir_bulk.records import FIELDS, File, Kind
from fhir_server.plugin_api import Collection, Record, RecordChange


@dataclass(frozen=True, slots=True)
class Input:
    """One file. type: of its resources, "" for any. blob, size: the copy that is read, once it was fetched."""

    type: str
    url: str
    blob: str = ""
    size: int = 0
    written: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Import:
    """One import; times are milliseconds since 1970.

    file, offset, line: the file that is read, and the byte and the line of it that come next.
    pending: OperationOutcomes of refused lines that no file has yet.
    """

    id: str
    owner: str
    request: str
    inputs: tuple[Input, ...]
    created: int
    expires: int
    state: Literal["open", "done"] = "open"
    file: int = 0
    offset: int = 0
    line: int = 0
    pending: tuple[str, ...] = ()
    errors: tuple[File, ...] = ()
    finished: int = 0
    token: bool = True
    scopes: str = ""
    revision: int = 0

    @property
    def files(self) -> tuple[File, ...]:
        """The files that clients may fetch."""
        return self.errors

    @property
    def blobs(self) -> tuple[str, ...]:
        """Its large objects."""
        return (*(each.blob for each in self.inputs if each.blob), *(file.blob for file in self.errors))

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else has meanwhile."""
        value = {name: getattr(self, name) for name in _PLAIN} | {"scopes": self.scopes}
        value["inputs"] = [asdict(each) for each in self.inputs]
        value["errors"] = [asdict(file) for file in self.errors]
        return RecordChange(
            IMPORTS.collection.name, self.id, value | {"pending": list(self.pending)}, expected=self.revision
        )

    def with_input(self, number: int, **changed: Any) -> "Import":
        """Return it with one file changed."""
        inputs = list(self.inputs)
        inputs[number] = replace(inputs[number], **changed)
        return replace(self, inputs=tuple(inputs))


_PLAIN = ("owner", "request", "created", "expires", "state", "file", "offset", "line", "finished", "token")


def _read(record: Record) -> Import:
    value: Mapping[str, Any] = record.value
    return Import(
        id=record.key,
        inputs=tuple(Input(**each) for each in value["inputs"]),
        errors=tuple(File(**each) for each in value["errors"]),
        pending=tuple(value["pending"]),
        revision=record.revision,
        scopes=value.get("scopes", ""),
        **{name: value[name] for name in _PLAIN},
    )


IMPORTS = Kind(Collection("fhir_bulk.imports", FIELDS), _read, "import")
