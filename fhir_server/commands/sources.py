"""What `load` reads: Bundles, NDJSON and single resources, plain or packed, from files and folders."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fhir_server.commands.entries import entry_of, identified
from fhir_server.model.json import JsonError, items, members, minify

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_KINDS = (".json", ".ndjson", ".jsonl")
_AS_THEY_ARE = (b'"transaction"', b'"batch"')
LINES_PER_BATCH = 500


class Unreadable(Exception):
    """A file that holds no FHIR; the message says why."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request to send: a transaction or batch Bundle.

    `first` counts the resources before it in its file, `size` its own. `places` are those of its entries in the file;
    `faults` say what could not be read at others.
    """

    source: Path
    first: int
    size: int
    body: bytes
    places: Sequence[int]
    faults: tuple[tuple[int, str], ...] = ()


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that can be read, folders searched through, in a stable order.

    Raises:
        Unreadable: a path that does not exist, or a named file of another kind.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.is_file() and kind_of(file))
        elif path.is_file() and kind_of(path):
            found.append(path)
        else:
            raise Unreadable(f"{path}: not a file or folder of JSON or NDJSON (.gz, .bz2 and .xz are read)")
    return list(dict.fromkeys(found))


def kind_of(path: Path) -> str | None:
    """Return `.json` or `.ndjson`, or None for other files."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _OPENERS]
    last = suffixes[-1] if suffixes else ""
    return {".jsonl": ".ndjson"}.get(last, last) if last in _KINDS else None


def parcels(path: Path, skip: int = 0) -> Iterator[Parcel]:
    """Yield the requests of one file, without those whose resources were all loaded before (`skip` of them).

    Raises:
        Unreadable: a packed file that is broken, or a document that is not JSON or not FHIR.
    """
    try:
        with _open(path) as stream:
            if kind_of(path) == ".ndjson":
                yield from _of_lines(path, stream, skip)
            elif skip == 0:
                yield _of_document(path, stream.read())
    except (OSError, EOFError, lzma.LZMAError, zlib.error, JsonError) as error:
        raise Unreadable(f"{path}: {error}") from None


def _open(path: Path) -> IO[bytes]:
    stream: IO[bytes] = _OPENERS.get(path.suffix.lower(), open)(path, "rb")
    return stream


def _of_lines(path: Path, stream: IO[bytes], skip: int) -> Iterator[Parcel]:
    lines: list[tuple[int, bytes]] = []
    for number, line in enumerate(line for line in stream if line.strip()):
        if number < skip:
            continue
        lines.append((number, line))
        if len(lines) == LINES_PER_BATCH:
            yield _of_batch(path, lines)
            lines = []
    if lines:
        yield _of_batch(path, lines)


def _of_batch(path: Path, lines: Sequence[tuple[int, bytes]]) -> Parcel:
    """Make a batch of lines; one that cannot be read is told of and hurts no other."""
    entries: list[bytes] = []
    places: list[int] = []
    faults: list[tuple[int, str]] = []
    for number, line in lines:
        try:
            entries.append(entry_of(minify(line), f"{path.name}|{number}"))
            places.append(number)
        except JsonError as error:
            faults.append((number, str(error)))
    return Parcel(path, lines[0][0], len(lines), _bundle(b"batch", entries), places, tuple(faults))


def _of_document(path: Path, raw: bytes) -> Parcel:
    small = minify(raw)
    parts = members(small)
    if parts.get("resourceType") != b'"Bundle"':
        return Parcel(path, 0, 1, _bundle(b"batch", [entry_of(small, path.name)]), (0,))
    entries = items(parts.get("entry", b"[]"))
    if parts.get("type") in _AS_THEY_ARE:
        kept = [identified(entry, f"{path.name}|{number}") for number, entry in enumerate(entries)]
        return Parcel(path, 0, len(kept), _bundle(parts["type"].strip(b'"'), kept), range(len(kept)))
    return _of_collection(path, [members(entry) for entry in entries])


def _of_collection(path: Path, entries: Sequence[dict[str, bytes]]) -> Parcel:
    """Resources that refer to each other by URN can only be written together."""
    held = [(entry["resource"], entry.get("fullUrl", b"")) for entry in entries if "resource" in entry]
    linked = any(url.startswith(b'"urn:') for _, url in held)
    made = [
        entry_of(resource, f"{path.name}|{number}", url if linked else b"")
        for number, (resource, url) in enumerate(held)
    ]
    return Parcel(path, 0, len(made), _bundle(b"transaction" if linked else b"batch", made), range(len(made)))


def _bundle(type_: bytes, entries: Sequence[bytes]) -> bytes:
    return b'{"resourceType":"Bundle","type":"' + type_ + b'","entry":[' + b",".join(entries) + b"]}"
