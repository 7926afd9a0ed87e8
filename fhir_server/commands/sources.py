"""What `load` reads: Bundles, NDJSON and single resources, plain or packed, from files and folders."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fhir_server.model.json import JsonError, decode, encode, items, members, minify

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_KINDS = (".json", ".ndjson", ".jsonl")
LINES_PER_BATCH = 500


class Unreadable(Exception):
    """A file that holds no FHIR; the message says why."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request to send: a transaction or batch Bundle.

    `first` counts the resources before it in its file, `size` its own.
    """

    source: Path
    first: int
    size: int
    body: bytes


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
        Unreadable: text that is not JSON or not FHIR.
    """
    try:
        with _open(path) as stream:
            if kind_of(path) == ".ndjson":
                yield from _of_lines(path, stream, skip)
            elif skip == 0:
                yield _of_document(path, stream.read())
    except (OSError, EOFError, lzma.LZMAError, JsonError) as error:
        raise Unreadable(f"{path}: {error}") from None


def _open(path: Path) -> IO[bytes]:
    stream: IO[bytes] = _OPENERS.get(path.suffix.lower(), open)(path, "rb")
    return stream


def _of_lines(path: Path, stream: IO[bytes], skip: int) -> Iterator[Parcel]:
    batch: list[bytes] = []
    first = skip
    for number, line in enumerate(line for line in stream if line.strip()):
        if number < skip:
            continue
        batch.append(minify(line))
        if len(batch) == LINES_PER_BATCH:
            yield Parcel(path, first, len(batch), _batch_of(batch))
            first += len(batch)
            batch = []
    if batch:
        yield Parcel(path, first, len(batch), _batch_of(batch))


def _of_document(path: Path, raw: bytes) -> Parcel:
    parts = members(minify(raw))
    if parts.get("resourceType") != b'"Bundle"':
        return Parcel(path, 0, 1, _batch_of([minify(raw)]))
    entries = items(parts.get("entry", b"[]"))
    if parts.get("type") in (b'"transaction"', b'"batch"'):
        return Parcel(path, 0, len(entries), raw)
    resources = [found for entry in entries if (found := members(entry).get("resource")) is not None]
    return Parcel(path, 0, len(resources), _batch_of(resources))


def _batch_of(resources: Sequence[bytes]) -> bytes:
    entries = b",".join(_entry(resource) for resource in resources)
    return b'{"resourceType":"Bundle","type":"batch","entry":[' + entries + b"]}"


def _entry(resource: bytes) -> bytes:
    """A resource with an id keeps it (PUT), another one is created (POST)."""
    parts = members(resource)
    type_, id_ = decode(parts.get("resourceType", b'""')), decode(parts.get("id", b'""'))
    request = {"method": "PUT", "url": f"{type_}/{id_}"} if id_ else {"method": "POST", "url": type_}
    return b'{"resource":' + resource + b',"request":' + encode(request) + b"}"
