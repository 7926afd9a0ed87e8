"""Import of folders: `fhir-server dicom import`, by STOW through the local door; what is done is in a journal.

An import that was broken off goes on where it was: files that the journal names, unchanged since, are passed over.
"""

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import httpx
from tqdm import tqdm

from dicomweb.dimse.files import files_below, part10
from fhir_server.plugin_api import CommandFailed

_FILES, _BYTES = 100, 64 << 20
"""Most files and bytes of one request."""
_CHUNK: Final = 1 << 20
_TIMEOUT: Final = 600.0
_OK, _PARTLY, _NONE = 200, 202, 409
_SHOWN: Final = 20


def import_folder(http: httpx.Client, folder: Path, journal: Path, *, tenant: str, again: bool) -> int:
    """Import all DICOM files below a folder; return the exit status. Raises CommandFailed."""
    done = set() if again else _done(journal, tenant)
    path = "/dicomweb/studies" if tenant == "default" else f"/t/{tenant}/dicomweb/studies"
    counts = {"imported": 0, "refused": 0, "skipped": 0, "before": 0}
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a") as book, tqdm(unit="file", disable=not sys.stderr.isatty()) as bar:
        for batch in _batches(folder, done, tenant, counts):
            refused = _store(http, path, batch)
            for file in batch:
                why = refused.get(str(file))
                counts["refused" if why else "imported"] += 1
                if why is None:
                    _note(book, tenant, file)
                elif counts["refused"] <= _SHOWN:
                    print(f"{file}: {why}", file=sys.stderr)  # noqa: T201
            book.flush()
            bar.update(len(batch))
    told = f"{counts['imported']} imported, {counts['refused']} refused, {counts['skipped']} no DICOM objects"
    print(f"{told}, {counts['before']} imported before", file=sys.stderr)  # noqa: T201
    return 1 if counts["refused"] or not counts["imported"] + counts["before"] else 0


def _batches(folder: Path, done: set[str], tenant: str, counts: dict[str, int]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for file in files_below([folder]):
        if _mark(tenant, file) in done:
            counts["before"] += 1
            continue
        if part10(file) is None or file.name == "DICOMDIR":
            counts["skipped"] += 1
            continue
        batch.append(file)
        size += file.stat().st_size
        if len(batch) >= _FILES or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _store(http: httpx.Client, path: str, batch: Sequence[Path]) -> dict[str, str]:
    """Store files; return why some were refused. Raises CommandFailed: the server does not take any."""
    boundary = uuid.uuid4().hex
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers = {"content-type": kind, "accept": "application/dicom+json"}
    answer = http.post(path, content=_body(batch, boundary), headers=headers, timeout=_TIMEOUT)
    if answer.status_code not in (_OK, _PARTLY, _NONE):
        raise CommandFailed(f"the server answered {answer.status_code}: {answer.text[:300]}")
    told = answer.json()
    failed = {_of(item, "00081155"): _reason(item) for item in _items(told, "00081198")}
    unnamed = _items(told, "0008119A")
    if not unnamed:
        by_uid = {found.sop_instance: str(file) for file in batch if (found := part10(file)) is not None}
        return {by_uid[uid]: why for uid, why in failed.items() if uid in by_uid}
    if len(batch) == 1:
        return {str(batch[0]): _reason(unnamed[0])}
    half = len(batch) // 2  # which one it was the answer does not say; what is stored already is not stored again
    return _store(http, path, batch[:half]) | _store(http, path, batch[half:])


def _body(batch: Sequence[Path], boundary: str) -> Iterator[bytes]:
    for file in batch:
        yield f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                yield chunk
    yield f"\r\n--{boundary}--\r\n".encode()


def _items(body: Any, tag: str) -> list[dict[str, Any]]:
    rows = body if isinstance(body, list) else [body]
    return [item for row in rows for item in (row.get(tag) or {}).get("Value") or ()]


def _of(item: dict[str, Any], tag: str) -> str:
    return str(next(iter((item.get(tag) or {}).get("Value") or ()), ""))


def _reason(item: dict[str, Any]) -> str:
    code = _of(item, "00081197")
    return f"it was refused, reason {int(code):#06x}" if code.isdigit() else "it was refused"


def _mark(tenant: str, file: Path) -> str:
    stat = file.stat()
    return json.dumps([tenant, str(file.resolve()), stat.st_size, stat.st_mtime_ns])


def _note(book: TextIO, tenant: str, file: Path) -> None:
    book.write(_mark(tenant, file) + "\n")


def _done(journal: Path, tenant: str) -> set[str]:
    try:
        return set(journal.read_text().splitlines())
    except FileNotFoundError:
        return set()
