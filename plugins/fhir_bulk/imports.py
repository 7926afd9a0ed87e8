"""One import as a record: its files, how far it came in them, what was refused."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fhir_bulk.exports import JOBS, File, may_see
from fhir_server.plugin_api import (
    BlobChange,
    Collection,
    NotFound,
    PluginContext,
    RecordChange,
    RecordChanged,
    RecordField,
)

IMPORTS = Collection(
    "fhir_bulk.imports", (RecordField("owner"), RecordField("state"), RecordField("expires", "integer"))
)
_TRIES = 5


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
    revision: int = 0

    @property
    def files(self) -> tuple[File, ...]:
        """The files that clients may fetch."""
        return self.errors

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else has meanwhile."""
        value = {name: getattr(self, name) for name in _PLAIN}
        value |= {"inputs": [asdict(each) for each in self.inputs], "errors": [asdict(file) for file in self.errors]}
        return RecordChange(IMPORTS.name, self.id, value | {"pending": list(self.pending)}, expected=self.revision)

    def with_input(self, number: int, **changed: Any) -> "Import":
        """Return it with one file changed."""
        inputs = list(self.inputs)
        inputs[number] = replace(inputs[number], **changed)
        return replace(self, inputs=tuple(inputs))


_PLAIN = ("owner", "request", "created", "expires", "state", "file", "offset", "line", "finished", "token")


async def load_import(ctx: PluginContext, id_: str) -> Import:
    """Return an import of the caller. Raises NotFound: there is none, or it is another's."""
    found = await find_import(ctx, id_)
    if found is None or not may_see(ctx, found.owner):
        raise NotFound(f"there is no bulk import {id_[:64]}", expression="http.url")
    return found


async def find_import(ctx: PluginContext, id_: str) -> Import | None:
    """Return an import, whosever it is."""
    record = await ctx.store.get(IMPORTS.name, id_)
    return None if record is None else _read(record.key, record.value, record.revision)


def _read(id_: str, value: Mapping[str, Any], revision: int) -> Import:
    return Import(
        id=id_,
        inputs=tuple(Input(**each) for each in value["inputs"]),
        errors=tuple(File(**each) for each in value["errors"]),
        pending=tuple(value["pending"]),
        revision=revision,
        **{name: value[name] for name in _PLAIN},
    )


async def save_import(ctx: PluginContext, found: Import, attach: str = "", release: str = "") -> Import:
    """Write an import. Raises RecordChanged: it was cancelled, or another process goes on with it."""
    blobs = [*([BlobChange(attach, attach=True)] if attach else [])]
    blobs += [BlobChange(release, attach=False)] if release else []
    await ctx.store.keep(*blobs, records=[found.change()])
    return replace(found, revision=found.revision + 1)


async def remove_import(ctx: PluginContext, id_: str) -> None:
    """Remove an import with its files; what it wrote stays."""
    for attempt in range(_TRIES):
        found = await find_import(ctx, id_)
        if found is None:
            return
        blobs = [*(each.blob for each in found.inputs if each.blob), *(file.blob for file in found.errors)]
        changes = [RecordChange(IMPORTS.name, id_, None, expected=found.revision), RecordChange(JOBS.name, id_, None)]
        try:
            await ctx.store.keep(*(BlobChange(blob, attach=False) for blob in blobs), records=changes)
            return
        except RecordChanged:
            if attempt == _TRIES - 1:
                raise
