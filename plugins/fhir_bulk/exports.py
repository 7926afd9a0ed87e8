"""One export as a record: what was asked, by whom, the instant it is of, its files and how far it came."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fhir_bulk.asked import Asked
from fhir_server.plugin_api import (
    BlobChange,
    Caller,
    Collection,
    NotFound,
    PluginContext,
    RecordChange,
    RecordChanged,
    RecordField,
)

EXPORTS = Collection(
    "fhir_bulk.exports", (RecordField("owner"), RecordField("state"), RecordField("expires", "integer"))
)
JOBS = Collection("fhir_bulk.jobs")
"""The job that works on an export or import, by its id: another record, for the work writes its own all the time."""
Section = Literal["output", "deleted", "error"]
_TRIES = 5


@dataclass(frozen=True, slots=True)
class File:
    """A file that is whole. type: of its resources, "" where there are several. step: the part that made it."""

    section: Section
    type: str
    name: str
    blob: str
    size: int
    count: int
    step: int = 0


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
    revision: int = 0

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else has meanwhile."""
        value = {name: getattr(self, name) for name in _PLAIN}
        value |= {"asked": self.asked.as_json(), "place": asdict(self.place), "refs": dict(self.refs or {})}
        value |= {"files": [asdict(file) for file in self.files], "notes": list(self.notes)}
        return RecordChange(EXPORTS.name, self.id, value, expected=self.revision)


_PLAIN = ("owner", "request", "created", "expires", "state", "txid", "instant", "written", "token")


def owner_of(caller: Caller) -> str:
    """Return who a job belongs to: whoever has other tokens of the same app, user and patients is the same."""
    return json.dumps([caller.name, caller.user, caller.client, *caller.patients])


async def load(ctx: PluginContext, id_: str) -> Export:
    """Return an export of the caller. Raises NotFound: there is none, or it is another's."""
    export = await find(ctx, id_)
    if export is None or not may_see(ctx, export.owner):
        raise NotFound(f"there is no bulk export {id_[:64]}", expression="http.url")
    return export


def may_see(ctx: PluginContext, owner: str) -> bool:
    """Tell whether a job is the caller's; administrators see all."""
    return ctx.caller.admin or owner == owner_of(ctx.caller)


async def find(ctx: PluginContext, id_: str) -> Export | None:
    """Return an export, whosever it is."""
    record = await ctx.store.get(EXPORTS.name, id_)
    return None if record is None else _read(record.key, record.value, record.revision)


def _read(id_: str, value: Mapping[str, Any], revision: int) -> Export:
    return Export(
        id=id_,
        asked=Asked.of_json(value["asked"]),
        place=Place(**value["place"]),
        files=tuple(File(**file) for file in value["files"]),
        notes=tuple(value["notes"]),
        refs={type_: tuple(ids) for type_, ids in value["refs"].items()},
        revision=revision,
        **{name: value[name] for name in _PLAIN},
    )


async def save(ctx: PluginContext, export: Export, attach: str = "", release: tuple[str, ...] = ()) -> Export:
    """Write an export with its files. Raises RecordChanged: it was cancelled, or another process goes on with it."""
    blobs = [*([BlobChange(attach, attach=True)] if attach else []), *(BlobChange(id_, False) for id_ in release)]
    await ctx.store.keep(*blobs, records=[export.change()])
    return replace(export, revision=export.revision + 1)


async def remove(ctx: PluginContext, id_: str) -> None:
    """Remove an export with its files, whatever works on it."""
    for attempt in range(_TRIES):
        export = await find(ctx, id_)
        if export is None:
            return
        changes = [RecordChange(EXPORTS.name, id_, None, expected=export.revision), RecordChange(JOBS.name, id_, None)]
        try:
            await ctx.store.keep(*(BlobChange(file.blob, attach=False) for file in export.files), records=changes)
            return
        except RecordChanged:
            if attempt == _TRIES - 1:
                raise
