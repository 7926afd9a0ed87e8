"""Scanner: follows an object while it is being written, and says what it is when it ends.

What stands before the pixel data is held in memory, up to a limit; of the rest only the places of fragments.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from dicomweb.ingest.elements import PIXELS, UNDEFINED, Elements, NeedMore, Scope
from dicomweb.ingest.faults import OUT_OF_RESOURCES, ObjectFault, named
from dicomweb.ingest.meta import FileMeta, meta_at_end, read_meta
from dicomweb.ingest.syntaxes import Encoding, encoding_of
from dicomweb.ingest.tail import Tail
from dicomweb.model.values import DicomJson

_STEP: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes of an object, of its head, of one that was inflated; longest binary value in JSON."""

    object: int = 8_000_000_000
    head: int = 64_000_000
    inflated: int = 2_000_000_000
    inline: int = 4_096


@dataclass(frozen=True, slots=True)
class Scanned:
    """What an object is. digest: SHA-256 of its data set. coerced: what was read otherwise than it stands.

    pixels: tag, place of the value, its length (UNDEFINED: encapsulated); tail: its fragments.
    """

    meta: FileMeta
    size: int
    digest: str
    header: DicomJson
    coerced: frozenset[str]
    pixels: tuple[int, int, int] | None = None
    tail: Tail | None = None


class Scanner:
    """Takes an object chunk by chunk. meta: that of a bare data set, which is not among the chunks."""

    def __init__(self, limits: Limits, meta: FileMeta | None = None) -> None:
        self._limits, self._meta = limits, meta
        self._begun = bytearray()
        self._head = bytearray()
        self._at = self._enough = 0
        self._size = meta.size if meta else 0
        self._inflated = 0
        self._digest = sha256()
        self._odd: set[str] = set()
        self._tail: Tail | None = None
        self._pixels: tuple[int, int, int] | None = None
        self._encoding = encoding_of(meta.transfer_syntax) if meta else Encoding()
        self._inflater = zlib.decompressobj(-15) if self._encoding.deflated else None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ObjectFault as soon as it is known that this cannot be stored."""
        self._size += len(chunk)
        if self._size > self._limits.object:
            raise ObjectFault(f"the object is larger than {self._limits.object} bytes", OUT_OF_RESOURCES)
        if self._meta is not None:
            self._data(chunk)
            return
        self._begun += chunk
        try:
            self._meta = read_meta(self._begun)
        except NeedMore:
            return
        self._encoding = encoding_of(self._meta.transfer_syntax)
        self._inflater = zlib.decompressobj(-15) if self._encoding.deflated else None
        rest = bytes(memoryview(self._begun)[self._meta.size :])
        self._begun.clear()
        self._data(rest)

    def check_end(self) -> None:
        """Say that nothing follows. Raises ObjectFault: it ends too early."""
        if self._meta is None:
            meta_at_end(self._begun)
        if self._inflater is not None and not self._inflater.eof:
            raise ObjectFault("the deflated data set has no end")
        if self._tail is None and self._at != len(self._head):
            self._skim()
        if self._tail is not None:
            self._tail.end()
        elif self._at != len(self._head):
            raise ObjectFault(self._cut())

    def end(self) -> Scanned:
        """Return what it was. Raises ObjectFault: it ends too early, or is no data set."""
        self.check_end()
        assert self._meta is not None
        header, coerced = self._read()
        return Scanned(
            self._meta, self._size, self._digest.hexdigest(), header, coerced, self._pixels, self._tail
        )  # fmt: skip

    def _data(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        if self._inflater is None:
            self._plain(chunk)
            return
        try:
            for each in self._inflate(chunk):
                self._plain(each)
        except zlib.error as error:
            raise ObjectFault("the data set is not deflated as its transfer syntax says") from error

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        assert self._inflater is not None
        while chunk and not self._inflater.eof:
            made = self._inflater.decompress(chunk, _STEP)
            self._inflated += len(made)
            if self._inflated > self._limits.inflated:
                raise ObjectFault(
                    f"the deflated object comes to more than {self._limits.inflated} bytes", OUT_OF_RESOURCES
                )
            yield made
            chunk = self._inflater.unconsumed_tail

    def _plain(self, chunk: bytes) -> None:
        if self._tail is not None:
            self._tail.feed(chunk)
            return
        self._head += chunk
        if len(self._head) >= self._enough:
            self._skim()
        if self._tail is None and len(self._head) > self._limits.head:
            raise ObjectFault(
                f"there are more than {self._limits.head} bytes before the pixel data", OUT_OF_RESOURCES
            )  # fmt: skip

    def _skim(self) -> None:
        """Go over elements to the pixel data, or as far as there is data."""
        if not self._at and self._encoding.explicit and len(self._head) >= 8 and not self._head[4:6].isalpha():
            self._encoding = replace(self._encoding, explicit=False)  # seen in the wild, and read by everybody
            self._odd.add("encoding")
        elements, end = Elements(self._head, self._encoding), len(self._head)
        while self._at < end:
            self._enough = self._at + 12
            try:
                tag, vr, start, length = elements.head(self._at, end)
                if tag in PIXELS:
                    self._begin_tail(tag, start, length)
                    return
                self._at = self._behind(elements, tag, vr, start, length)
            except NeedMore:
                return

    def _behind(self, elements: Elements, tag: int, vr: str, start: int, length: int) -> int:
        end = len(self._head)
        if tag >> 16 == 0xFFFE:
            raise ObjectFault(f"a delimiter {named(tag)} stands where an element has to be")
        if length == UNDEFINED:
            self._enough = 2 * end
            return _over(elements, tag, vr, start, end)
        if start + length > end:
            self._enough = start + length
            raise NeedMore
        return start + length

    def _begin_tail(self, tag: int, start: int, length: int) -> None:
        assert self._meta is not None
        base = 0 if self._encoding.deflated else self._meta.size
        self._pixels = tag, base + start, length
        self._tail = Tail(base + start, length, self._encoding, tag)
        rest = bytes(memoryview(self._head)[start:])
        del self._head[self._at :]
        self._tail.feed(rest)

    def _read(self) -> tuple[DicomJson, frozenset[str]]:
        elements = Elements(bytes(self._head), self._encoding, self._limits.inline)
        scope = Scope()
        try:
            header, _ = elements.data_set(0, len(self._head), scope)
        except NeedMore:
            raise ObjectFault("a sequence is longer than the element that holds it") from None
        except RecursionError:
            raise ObjectFault("the sequences go too deep") from None
        if self._pixels is not None:
            tag, _, length = self._pixels
            vr = "OB" if length == UNDEFINED else {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(tag, "OW")
            header[f"{tag:08X}"] = {"vr": vr, "BulkDataURI": f"bulkdata/{tag:08X}"}
        return header, frozenset(elements.coerced | self._odd)

    def _cut(self) -> str:
        """Return how the object ends too early."""
        elements = Elements(self._head, self._encoding)
        try:
            tag, _, start, length = elements.head(self._at, len(self._head))
        except NeedMore:
            return "the object ends within an element"
        if length == UNDEFINED:
            return f"the object ends within the sequence {named(tag)}"
        return f"{named(tag)} says it has {length} bytes, but only {len(self._head) - start} follow"


def _over(elements: Elements, tag: int, vr: str, start: int, end: int) -> int:
    """Return the place behind a sequence of undefined length. Raises NeedMore, ObjectFault."""
    if vr not in ("SQ", "UN"):
        raise ObjectFault(f"the length of {named(tag)} is undefined, and it is no sequence")
    reader = elements if vr == "SQ" else Elements(elements.data, Encoding(False, "<"))
    return reader.over_items(tag, start, end, 0)
