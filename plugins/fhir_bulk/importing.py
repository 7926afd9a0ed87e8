"""The work of one import: fetch, read lines, write them in batches; the place is noted in the commit of each batch.

So a batch is written once, whatever happens between; and a line is written under its own id or under one that
follows from the import and its number, so writing it again changes nothing.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from fhir_bulk.fetching import fetch
from fhir_bulk.imports import Import
from fhir_bulk.lines import Line, closing, lines_of
from fhir_bulk.records import File, save
from fhir_server.plugin_api import (
    BadRequest,
    Beside,
    Busy,
    FhirError,
    Gone,
    Issue,
    PluginContext,
    RecordChanged,
    decode,
    encode,
)

_ERRORS = 2_000
"""Refused lines that are held in the record until they become a file."""


class _Head(msgspec.Struct, rename={"type": "resourceType"}):
    type: str = ""
    id: str = ""


_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it is written: its number, its key, its resource."""

    number: int
    type: str
    id: str
    resource: msgspec.Raw


class ImportWork:
    """One import at work."""

    def __init__(self, ctx: PluginContext, found: Import) -> None:
        self._ctx, self._import = ctx, found

    async def run(self) -> None:
        """Do it, or what is left of it. Raises Gone: it was cancelled, or another process goes on with it."""
        try:
            for number in range(self._import.file, len(self._import.inputs)):
                await self._file(number)
            await self._flush()
            keep = self._ctx.now() + self._ctx.settings.keep * 1_000
            done = replace(self._import, state="done", expires=keep, finished=self._ctx.now())
            self._import = await save(self._ctx, done)
        except RecordChanged:
            raise Gone(f"the import {self._import.id} was cancelled") from None

    async def _file(self, number: int) -> None:
        source = self._import.inputs[number]
        if not source.blob:
            try:
                ref = await fetch(self._ctx, source.url)
            except BadRequest as error:
                await self._refuse_file(number, str(error))
                return
            self._import = await save(self._ctx, self._import.with_input(number, blob=ref.id, size=ref.size), ref.id)
        source = self._import.inputs[number]
        batch: list[Line] = []
        async with closing(self._lines(source.blob)) as lines:
            async for line in lines:
                batch.append(line)
                if len(batch) >= self._ctx.settings.import_batch:
                    await self._write(number, batch)
                    batch = []
        if batch:
            await self._write(number, batch)
        await self._flush()
        blob = self._import.inputs[number].blob
        moved = replace(self._import.with_input(number, blob=""), file=number + 1, offset=0, line=0)
        self._import = await save(self._ctx, moved, release=(blob,))

    async def _lines(self, blob: str) -> AsyncIterator[Line]:
        start = self._import.offset, self._import.line
        longest = self._ctx.settings.import_line
        async with closing(await self._ctx.store.open(blob, start[0])) as chunks:
            async for line in lines_of(chunks, start, longest):
                yield line

    async def _refuse_file(self, number: int, text: str) -> None:
        said = told(self._import.inputs[number].url, 0, [Issue(text, "not-found")])
        moved = replace(self._import, pending=(*self._import.pending, said), file=number + 1, offset=0, line=0)
        self._import = moved.with_input(number, refused=1)
        await self._flush()

    async def _write(self, number: int, lines: Sequence[Line]) -> None:
        """Write a batch with its place, all or nothing; where that is refused, line by line."""
        entries, errors = self._entries(number, lines)
        place = replace(self._import, offset=lines[-1].end, line=lines[-1].number)
        ahead = self._counted(place, number, len(entries), errors)
        try:
            if entries:
                await self._ctx.client.transaction(_bundle("transaction", entries), beside=Beside([ahead.change()]))
                self._import = replace(ahead, revision=ahead.revision + 1)
            else:
                self._import = await save(self._ctx, ahead)
        except (RecordChanged, Busy):
            raise
        except FhirError:
            errors += await self._one_by_one(number, entries)
            ahead = self._counted(place, number, len(lines) - len(errors) - _empty(lines), errors)
            self._import = await save(self._ctx, ahead)
        done = sum(each.written + each.refused for each in self._import.inputs)
        self._ctx.progress(done, max(done, self._expected()))
        if len(self._import.pending) >= _ERRORS:
            await self._flush()

    def _expected(self) -> int:
        """Guess how many lines there are from what was read so far; files that were not fetched count for nothing."""
        read = self._import.line or 1
        each = max(1, self._import.offset // read)
        return sum(source.size // each for source in self._import.inputs)

    def _counted(self, place: Import, number: int, written: int, errors: Sequence[str]) -> Import:
        source = place.inputs[number]
        counted = place.with_input(number, written=source.written + written, refused=source.refused + len(errors))
        return replace(counted, pending=(*place.pending, *errors))

    def _entries(self, number: int, lines: Sequence[Line]) -> tuple[list[Entry], list[str]]:
        source = self._import.inputs[number]
        entries, errors = [], []
        for line in lines:
            try:
                if line.data is None or line.data.strip():
                    entries.append(self._entry(source.type, number, line))
            except BadRequest as error:
                errors.append(told(source.url, line.number, error.issues))
        return entries, errors

    def _entry(self, type_: str, number: int, line: Line) -> Entry:
        if line.data is None:
            raise BadRequest("the line is longer than the setting import_line allows")
        try:
            head = _head.decode(line.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadRequest("the line is no JSON object with a resourceType") from None
        if not head.type or (type_ and head.type != type_):
            raise BadRequest(f"the line is no {type_ or 'resource'}, but {head.type[:80] or 'has no type'}")
        if head.id:
            return Entry(line.number, head.type, head.id, msgspec.Raw(line.data))
        id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:fhir-import:{self._import.id}:{number}:{line.number}"))
        try:
            resource = {**decode(line.data), "id": id_}
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return Entry(line.number, head.type, id_, msgspec.Raw(encode(resource)))

    async def _one_by_one(self, number: int, entries: Sequence[Entry]) -> list[str]:
        """Write each entry by itself; return the outcomes of those that are refused."""
        url = self._import.inputs[number].url
        try:
            answer = await self._ctx.client.transaction(_bundle("batch", entries))
        except FhirError as error:  # the Bundle itself cannot be read: one line breaks it
            if len(entries) == 1:
                return [told(url, entries[0].number, error.issues)]
            middle = len(entries) // 2
            first = await self._one_by_one(number, entries[:middle])
            return first + await self._one_by_one(number, entries[middle:])
        found = []
        for entry, answered in zip(entries, answer["entry"], strict=True):
            response = answered["response"]
            if not response["status"].startswith("2"):
                issues = response.get("outcome", answered.get("resource", {})).get("issue", [])
                found.append(_outcome(url, entry.number, [each for each in issues if _counts(each)]))
        return found

    async def _flush(self) -> None:
        """Make a file of the lines that were refused."""
        if not self._import.pending:
            self._import = await save(self._ctx, self._import)
            return
        pending = self._import.pending

        async def chunks() -> AsyncIterator[bytes]:
            yield "".join(f"{line}\n" for line in pending).encode()

        ref = await self._ctx.store.stage(chunks())
        number = len(self._import.errors) + 1
        file = File("error", "OperationOutcome", f"{number}.errors.ndjson", ref.id, ref.size, len(pending))
        ahead = replace(self._import, pending=(), errors=(*self._import.errors, file))
        self._import = await save(self._ctx, ahead, ref.id)


def _empty(lines: Sequence[Line]) -> int:
    return sum(1 for line in lines if line.data is not None and not line.data.strip())


def _counts(issue: dict[str, object]) -> bool:
    return issue.get("severity") in ("error", "fatal")


def _bundle(kind: str, entries: Sequence[Entry]) -> dict[str, object]:
    found = [
        {"resource": each.resource, "request": {"method": "PUT", "url": f"{each.type}/{each.id}"}} for each in entries
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": found}


def told(url: str, number: int, issues: Sequence[Issue]) -> str:
    """Return an OperationOutcome about one line of a file."""
    return _outcome(url, number, [each.as_json() for each in issues])


def _outcome(url: str, number: int, issues: Sequence[object]) -> str:
    """Return an OperationOutcome that names file and line."""
    where = {
        "severity": "information", "code": "informational",
        "diagnostics": f"line {number} of {url}" if number else f"the file {url}",
    }  # fmt: skip
    return encode({"resourceType": "OperationOutcome", "issue": [*issues, where]}).decode()
