"""Sending files to an AE: `fhir-server dicom send`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from tqdm import tqdm

from dicomweb.dimse import status
from dicomweb.dimse.catalog import EXPLICIT, IMPLICIT
from dicomweb.dimse.wire.accepting import Call, connect
from dicomweb.dimse.wire.association import Association
from dicomweb.dimse.wire.command import Command, Field
from dicomweb.dimse.wire.faults import Aborted

_PREAMBLE: Final = 132
_CHUNK: Final = 1 << 20
_MOST_CONTEXTS: Final = 128


@dataclass(frozen=True, slots=True)
class Part10:
    """A file with a DICOM object. start: where its data set begins."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer: str
    start: int


def files_below(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield files, and those in folders, in a stable order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        else:
            yield path


def part10(path: Path) -> Part10 | None:
    """Return what a file says of itself; None: it is no DICOM file, or a directory of them."""
    try:
        with path.open("rb") as file:
            file.seek(_PREAMBLE - 4)
            if file.read(4) != b"DICM":
                return None
            head = file.read(12)
        meta = read_file_meta_info(path)
        sop_class, instance = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
        start = _PREAMBLE + 12 + int.from_bytes(head[8:12], "little")
        return Part10(path, sop_class, instance, str(meta.TransferSyntaxUID), start)
    except (OSError, AttributeError, ValueError, KeyError, EOFError, InvalidDicomError):
        return None


async def send_files(call: Call, paths: Sequence[Path]) -> int:
    """Send all files, over as few associations as their classes need; return the exit status."""
    found = [part10(path) for path in files_below(paths)]
    objects = [each for each in found if each is not None]
    count, skipped, failed = len(objects), len(found) - len(objects), 0
    with tqdm(total=count, unit="object", disable=not sys.stderr.isatty()) as bar:
        while objects:
            proposed, objects, later = _fitting(objects)
            association = await connect(call, proposed)
            try:
                for each in objects:
                    failed += not await _send(association, each)
                    bar.update()
                await association.release()
            finally:
                await association.close()
            objects = later
    print(f"{count - failed} sent, {failed} refused, {skipped} no DICOM objects", file=sys.stderr)  # noqa: T201
    return 1 if failed or not count else 0


def _fitting(objects: list[Part10]) -> tuple[list[tuple[str, tuple[str, ...]]], list[Part10], list[Part10]]:
    """Return what can be proposed at once, and the objects for now and for later."""
    proposed: dict[tuple[str, tuple[str, ...]], None] = {}
    now: list[Part10] = []
    for number, each in enumerate(objects):
        proposed[each.sop_class, (each.transfer,)] = None
        if each.transfer in (EXPLICIT, IMPLICIT):
            proposed[each.sop_class, (EXPLICIT,)] = proposed[each.sop_class, (IMPLICIT,)] = None
        if len(proposed) > _MOST_CONTEXTS - 3:
            return list(proposed), now, objects[number:]
        now.append(each)
    return list(proposed), now, []


async def _send(association: Association, each: Part10) -> bool:
    context = association.context_for(each.sop_class, each.transfer)
    if context is None:
        print(f"{each.path}: the other side does not take {each.transfer}", file=sys.stderr)  # noqa: T201
        return False
    number = association.next_id()
    command: Command = {
        "AffectedSOPClassUID": each.sop_class,
        "CommandField": Field.C_STORE_RQ,
        "MessageID": number,
        "Priority": 0,
        "AffectedSOPInstanceUID": each.sop_instance,
    }
    await association.send(context, command, _read(each))
    answer = await association.receive()
    if answer.field != Field.C_STORE_RSP or answer.id != number:
        raise Aborted("something else was answered")
    code = answer.number("Status")
    if code:
        print(f"{each.path}: {code:#06x} {answer.text('ErrorComment')}", file=sys.stderr)  # noqa: T201
    return code == 0 or status.is_warning(code)


async def _read(each: Part10) -> AsyncIterator[bytes]:
    with each.path.open("rb") as file:
        file.seek(each.start)
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
