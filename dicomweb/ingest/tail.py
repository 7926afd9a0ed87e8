"""Follows what comes after the head of the pixel data, in constant memory: fragments, and elements behind them."""

from array import array
from typing import Final

from dicomweb.ingest.elements import ITEM, SEQUENCE_END, UNDEFINED, Elements
from dicomweb.ingest.faults import ObjectFault, named
from dicomweb.ingest.syntaxes import Encoding

_MARK: Final = 4
_BEGINNINGS: Final = (b"\xff\xd8", b"\xff\x4f", b"\xff\x0a", b"\x00\x00\x00\x0c")
"""Of JPEG and JPEG-LS, JPEG 2000, JPEG XL, and of files of the latter two."""
_MOST_TABLE: Final = 16_000_000


class Tail:
    """The rest of an object.

    place: where it begins in the object. length: of the value; UNDEFINED where it is encapsulated.
    starts, lengths: of the values of the fragments; begins: 1 where one begins a picture.
    table: the Basic Offset Table.
    """

    def __init__(self, place: int, length: int, encoding: Encoding, tag: int) -> None:
        self.starts, self.lengths, self.begins = array("Q"), array("Q"), bytearray()
        self.table = b""
        self._place, self._encoding, self._tag = place, encoding, tag
        self._items = length == UNDEFINED
        self._skip = 0 if self._items else length
        self._kept = bytearray()
        self._keep = 0
        self._first = True
        self._deaf = False

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes. Raises ObjectFault."""
        view = memoryview(chunk)
        while view and not self._deaf:
            if self._skip:
                view = self._skipped(view)
                continue
            need = 8 if self._items else self._need()
            taken = need - len(self._kept)
            self._kept += view[:taken]
            self._place += len(view[:taken])
            view = view[taken:]
            if len(self._kept) == need and (self._items or self._need() == need):
                self._item() if self._items else self._element()

    def end(self) -> None:
        """Say that nothing follows. Raises ObjectFault: something had to."""
        if self._skip:
            raise ObjectFault(f"the object ends {self._skip} bytes before the value of {named(self._tag)} does")
        if self._items:
            raise ObjectFault(f"the object ends within the encapsulated {named(self._tag)}")
        if self._kept and any(self._kept):
            raise ObjectFault("the object ends within an element after its pixel data")

    def _skipped(self, view: memoryview) -> memoryview:
        size = min(self._skip, len(view))
        if self._keep:
            self._kept += view[: min(self._keep, size)]
            self._keep -= min(self._keep, size)
        self._skip -= size
        self._place += size
        if not self._skip and self._items:
            self._fragment_read()
        return view[size:]

    def _fragment_read(self) -> None:
        if self._first:
            self.table, self._first = bytes(self._kept), False
        elif self.starts:
            self.begins.append(self._kept.startswith(_BEGINNINGS))
        self._kept.clear()
        self._keep = 0

    def _item(self) -> None:
        group, element = int.from_bytes(self._kept[:2], "little"), int.from_bytes(self._kept[2:4], "little")
        tag, length = group << 16 | element, int.from_bytes(self._kept[4:8], "little")
        self._kept.clear()
        if tag == SEQUENCE_END:
            self._items = False
        elif tag != ITEM or length == UNDEFINED:
            raise ObjectFault(
                f"in the encapsulated {named(self._tag)} stands {named(tag)} where a fragment has to begin"
            )
        else:
            self._fragment(length)

    def _fragment(self, length: int) -> None:
        if not self._first:
            self.starts.append(self._place)
            self.lengths.append(length)
        elif length > _MOST_TABLE:
            raise ObjectFault("the Basic Offset Table is longer than 16 megabytes")
        self._skip = length
        self._keep = length if self._first else min(length, _MARK)
        if not length:
            self._fragment_read()

    def _need(self) -> int:
        """Return how many bytes the head of an element behind the pixel data has."""
        if not self._encoding.explicit or len(self._kept) < 8:
            return 8
        return (
            12
            if bytes(self._kept[4:6]) in (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC")
            else 8
        )

    def _element(self) -> None:
        """Go on behind an element; padding that is none, and sequences without a length, are not looked at."""
        if not any(self._kept):
            self._deaf = True
            return
        tag, _, _, length = Elements(bytes(self._kept), self._encoding).head(0, len(self._kept))
        self._kept.clear()
        if length == UNDEFINED or tag >> 16 == 0xFFFE:
            self._deaf = True
            return
        self._tag, self._skip = tag, length
