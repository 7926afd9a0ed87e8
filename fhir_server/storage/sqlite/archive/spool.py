"""The spool: entries that writers appended in their turn and that the archive does not have yet, on the local disk.

An entry stands here before its transaction is committed, so what was committed is here unless the power failed: nothing
is synced, for the archive would notice the gap. Where a transaction failed after its entry, the next one bears the same
number, and the last of a number counts.
"""

import os
from pathlib import Path
from typing import Final

from fhir_server.storage.sqlite.archive.entries import Entry, unpacked

FOLDER: Final = "spool"
_EACH: Final = 6  # bits: 64 entries in one file


class Spool:
    """The files `spool/<number / 64>` of one record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._open: tuple[int, int] = (-1, -1)

    def append(self, entry: Entry) -> None:
        """Append an entry; the caller holds the turn to write. Raises OSError."""
        number = entry.number >> _EACH
        if self._open[0] != number:
            self.close()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._open = number, os.open(self._path(number), flags, 0o600)
        descriptor, data = self._open[1], memoryview(entry.packed())
        while data:
            data = data[os.write(descriptor, data) :]

    def close(self) -> None:
        """Close the file that is open."""
        if self._open[1] >= 0:
            os.close(self._open[1])
        self._open = (-1, -1)

    def read(self, first: int, last: int, most: int) -> list[Entry]:
        """Return entries from `first` to `last`, which are committed by now, of about `most` bytes; those that are
        not there are left out."""
        found: dict[int, Entry] = {}
        size = 0
        for number in range(first >> _EACH, (last >> _EACH) + 1):
            if size > most:
                break
            entries = [each for each in self._entries(number) if first <= each.number <= last]
            found.update((each.number, each) for each in entries)
            size += sum(len(each.data) for each in entries)
        return [found[number] for number in sorted(found)]

    def drop(self, last: int) -> None:
        """Remove the files of which the archive has all, up to entry `last`."""
        for number, path in self._files():
            if (number + 1) << _EACH <= last + 1:  # what is appended from now on goes to another file
                path.unlink(missing_ok=True)

    def empty(self) -> None:
        """Cut the files to nothing: the archive has all that is committed (within the turn), or the disk is needed,
        which is a gap that a new base heals. Writers keep the files open, so they must not be removed."""
        for _, path in self._files():
            os.truncate(path, 0)

    def size(self) -> int:
        """Return the bytes that stand here."""
        return sum(path.stat().st_size for _, path in self._files())

    def _entries(self, number: int) -> list[Entry]:
        try:
            return list(unpacked(self._path(number).read_bytes()))
        except FileNotFoundError:
            return []

    def _files(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem), path) for path in self.folder.glob("*.log"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}.log"
