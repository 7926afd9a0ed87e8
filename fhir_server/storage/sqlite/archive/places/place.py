"""What an archive asks of the place where it is kept: bytes under names such as `tenants/default/blobs/ab/abcd`.

A folder and a bucket of S3 are such places; nothing else knows which of them it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Taken(OSError):
    """Under the name stands something else by now than what was to be replaced."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a listing tells: the name, the bytes, and when it was written in seconds since 1970."""

    name: str
    size: int
    changed: float


class Place(Protocol):
    """A place; names are relative to it. All of it blocks, and raises OSError where the place does not do it, of that
    FileNotFoundError for a name that is not there."""

    at_once: int
    """How many calls are worth doing side by side."""

    def where(self, name: str) -> str:
        """Return a name as people are told of it: a path, or a URL."""

    def doubt(self) -> str:
        """Say why an empty place may not be the one that is meant; empty: nothing is known."""

    def begin(self) -> None:
        """Make the place itself where it is missing; nothing below makes it."""

    def get(self, name: str, most: int | None = None) -> bytes:
        """Return what stands under a name, or its first bytes."""

    def marked(self, name: str) -> tuple[bytes, str]:
        """Return what stands under a name with a mark, which is another when it is replaced."""

    def fetch(self, name: str, target: Path) -> None:
        """Copy it to a file, which is its owner's alone and not synced."""

    def digest(self, name: str) -> str:
        """Return its SHA-256."""

    def at_hand(self, folder: str, names: Sequence[str]) -> AbstractContextManager[Path]:
        """Give a local folder with those of the names that there are, to be read alone."""

    def put(self, name: str, data: bytes) -> None:
        """Write it: whole, or as it was before; it lasts when this returns."""

    def put_file(self, name: str, source: Path) -> None:
        """Write a file in the same manner. Raises FileNotFoundError too where the file is gone."""

    def put_if(self, name: str, data: bytes, mark: str, *, lasting: bool = True) -> str:
        """Write it where that of the mark stands there (empty: nothing); return the new mark. It may be replaced soon.

        Raises:
            Taken: something else stands there.
        """

    def draft(self, beside: str, scratch: Path, size: int) -> AbstractContextManager[Path]:
        """Give an empty local folder for about so many bytes, to be filled and `put_folder`; near a name if that
        is a folder too, else in `scratch`."""

    def put_folder(self, draft: Path, name: str, last: str) -> None:
        """Bring a draft under a new name; the file `last` is there only when all others are."""

    def holds(self, name: str, start: bytes, size: int) -> bool:
        """Tell whether what stands there begins so and has this size; then it is kept as if it was written now."""

    def found(self, folder: str) -> Iterator[Found]:
        """Yield all that is below a folder, in the order of names."""

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""

    def remove(self, names: Sequence[str]) -> int:
        """Remove what may be removed; return of how many the place does not allow it yet."""

    def move(self, folder: str, to: str) -> None:
        """Bring all of a folder under another name; a move that was cut off leaves the old one whole."""

    def afterlife(self) -> str:
        """Say what becomes of what was removed; empty where it is gone."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in a place, which may be that of a folder; empty: all of it."""

    place: Place
    at: str = ""

    def __truediv__(self, name: str) -> "Spot":
        """Return a name within this."""
        return Spot(self.place, f"{self.at}/{name}" if self.at else name)

    def __str__(self) -> str:
        """Return it as people are told of it."""
        return self.place.where(self.at)

    @property
    def name(self) -> str:
        """The last part of the name."""
        return self.at.rpartition("/")[2]

    @property
    def parent(self) -> "Spot":
        """The folder that it is in."""
        return Spot(self.place, self.at.rpartition("/")[0])

    def get(self, most: int | None = None) -> bytes:
        """Return what stands there, or its first bytes. Raises OSError."""
        return self.place.get(self.at, most)

    def put(self, data: bytes) -> None:
        """Write it. Raises OSError."""
        self.place.put(self.at, data)

    def fetch(self, target: Path) -> None:
        """Copy it to a file. Raises OSError."""
        self.place.fetch(self.at, target)

    def found(self) -> Iterator[Found]:
        """Yield all that is below, its name relative to this. Raises OSError."""
        cut = len(self.at) + 1 if self.at else 0
        for each in self.place.found(self.at):
            yield Found(each.name[cut:], each.size, each.changed)

    def folders(self) -> list[str]:
        """Return the names of the folders in it. Raises OSError."""
        return self.place.folders(self.at)

    def remove(self, names: Sequence[str] = ()) -> int:
        """Remove what is named within it, or all that is below; return how much may not be removed yet."""
        gone = [(self / name).at for name in names] if names else [each.name for each in self.place.found(self.at)]
        return self.place.remove(gone) if gone else 0

    def is_there(self) -> bool:
        """Tell whether it or anything below it is there. Raises OSError."""
        try:
            self.place.get(self.at, 1)
        except FileNotFoundError:
            return next(self.place.found(self.at), None) is not None
        return True
