"""The files inside a .tgz, one after the other, without writing any of them to disk.

Made for archives from strangers: what is unpacked is counted, and nothing is read past a limit. The tar module of the
standard library reads whatever a header asks for.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; RFC 1952 for gzip
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_BLOCK = 512
_STEP = 65_536
_MOST_HEADER = 65_536
_MOST_STREAMS = 100
_FILES = frozenset((b"0", b"\0", b"7"))
_FOLDER, _LONG_NAME, _EXTENDED = b"5", b"L", b"x"
_WITHOUT_FILE = frozenset((_FOLDER, b"g", b"K"))
_LINKS = frozenset((b"1", b"2"))


class PackageError(ValueError):
    """A package that cannot be used; the message names the file inside it, where one is at fault."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a package may hold, in bytes and in files."""

    unpacked: int = 1_000_000_000
    file: int = 100_000_000
    files: int = 50_000


DEFAULT_LIMITS = Limits()


class _Header(NamedTuple):
    name: str
    size: int
    kind: bytes


def files_of(data: bytes, limits: Limits, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files that are wanted, in their order.

    Raises:
        PackageError: broken or cut off, over a limit, a name that leads out of the package, a link or a device.
    """
    source = _Source(_inflated(data, limits.unpacked))
    for count, header in enumerate(_headers(source), 1):
        if count > limits.files:
            raise PackageError(f"it holds more than {limits.files} files")
        name = _safe(header.name)
        if header.kind not in _FILES:
            kind = "a link" if header.kind in _LINKS else "no plain file"
            raise PackageError(f"{name} is {kind}")
        if not wanted(name):
            source.skip(header.size)
        elif header.size > limits.file:
            raise PackageError(f"{name} has {header.size} bytes; a file may have {limits.file}")
        else:
            yield name, source.file(header.size, name)


class _Source:
    """The unpacked bytes, taken in pieces."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()

    def take(self, size: int) -> bytes:
        """Return so many bytes, fewer where they end."""
        while len(self._held) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def file(self, size: int, name: str) -> bytes:
        """Return a file that begins here, and go on to the block after it."""
        content = self.take(size)
        if len(content) < size:
            raise PackageError(f"it is cut off in {name}")
        self.take(-size % _BLOCK)
        return content

    def skip(self, size: int) -> None:
        """Go on to the block after a file."""
        left = size + -size % _BLOCK
        while left:
            taken = len(self.take(min(left, _STEP)))
            if not taken:
                raise PackageError("it is cut off")
            left -= taken


def _inflated(data: bytes, limit: int) -> Iterator[bytes]:
    """Unpack in steps that are small going in and coming out."""
    total, streams, stream = 0, 1, zlib.decompressobj(31)
    try:
        for at in range(0, len(data), _STEP):
            rest = data[at : at + _STEP]
            while rest:
                if stream.eof:
                    if streams == _MOST_STREAMS or not rest.strip(b"\0"):
                        return  # some writers fill up with zeros
                    streams, stream = streams + 1, zlib.decompressobj(31)
                chunk = stream.decompress(rest, _STEP)
                total += len(chunk)
                if total > limit:
                    raise PackageError(f"it unpacks to more than {limit} bytes")
                yield chunk
                rest = stream.unused_data if stream.eof else stream.unconsumed_tail
    except zlib.error:
        raise PackageError("it is not whole gzip data") from None
    if not stream.eof:
        raise PackageError("it is not whole gzip data")


def _headers(source: _Source) -> Iterator[_Header]:
    """Yield the header of each entry that is not a folder; what stands before it for a long name is read into it."""
    name, size = None, None
    while block := source.take(_BLOCK):
        if not block.strip(b"\0"):
            while source.take(_STEP):
                pass  # the checksum of what came stands at the very end
            return
        header = _header(block)
        if header.kind in (_LONG_NAME, _EXTENDED):
            if header.size > _MOST_HEADER:
                raise PackageError("it is no tar archive: a header is too long")
            text = source.file(header.size, header.name)
            if header.kind == _LONG_NAME:
                name = _text(text.rstrip(b"\0"))
            else:
                found = _extended(text)
                name, size = found.get("path", name), _whole(found.get("size", ""), size)
            continue
        if header.kind in _WITHOUT_FILE:
            source.skip(header.size)
        else:
            yield _Header(name or header.name, header.size if size is None else size, header.kind)
        name, size = None, None


def _header(block: bytes) -> _Header:
    if len(block) < _BLOCK or _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
        raise PackageError("it is no whole tar archive")
    name, prefix = (_text(field.partition(b"\0")[0]) for field in (block[:100], block[345:500]))
    if block[257:263] == b"ustar\0" and prefix:
        name = f"{prefix}/{name}"
    return _Header(name, _number(block[124:136]), block[156:157])


def _number(field: bytes) -> int:
    """Read octal digits, or the binary form of sizes from 8 GB on, which no limit lets through."""
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise PackageError("it is no tar archive: a number is not octal")
    return int(digits, 8)


def _extended(text: bytes) -> dict[str, str]:
    """Read records of the form `25 path=package/a.json`."""
    found: dict[str, str] = {}
    while text:
        digits, _, _ = text.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 6 else 0
        if length <= len(digits) + 1 or length > len(text):
            raise PackageError("it is no tar archive: an extended header is broken")
        key, _, value = _text(text[len(digits) + 1 : length]).rstrip("\n").partition("=")
        found[key] = value
        text = text[length:]
    return found


def _whole(text: str, otherwise: int | None) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 12 else otherwise


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise PackageError("the name of a file is not UTF-8") from None


def _safe(name: str) -> str:
    """Return the name without a leading `./`. Nothing is written to disk; who names such a path is up to no good."""
    parts = name.removeprefix("./").split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or not name.isprintable():
        raise PackageError(f"the name {name[:200]!r} leads out of the package")
    return "/".join(parts)
