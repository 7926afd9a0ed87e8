"""The large objects of a tenant in its archive: each once, for all base backups and segments."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from fhir_server.storage.sqlite.archive.places.crew import each_of
from fhir_server.storage.sqlite.archive.places.place import Spot

_HEAD: Final = 128  # bytes at the beginning of a file that tell under whose key it is


class Pool:
    """`blobs/ab/<id>`, as a store has them."""

    def __init__(self, folder: Spot) -> None:
        self.folder = folder

    def spot(self, blob: str) -> Spot:
        """Return where one is."""
        return self.folder / blob[:2] / blob

    def take(self, blob: str, source: Path) -> int:
        """Copy one that is not here as it is there; return its bytes. Raises FileNotFoundError: it is gone there.

        One that came under the key of its patient takes the place of what was under the key of the tenant: that copy
        would outlive an erasure.
        """
        with source.open("rb") as file:
            start, size = file.read(_HEAD), os.fstat(file.fileno()).st_size
        target = self.spot(blob)
        if target.place.holds(target.at, start, size):
            return 0
        try:
            target.place.put_file(target.at, source)
        except FileNotFoundError:
            if source.exists():  # it is the archive that is gone
                raise OSError(f"{target} cannot be written: the archive is not there") from None
            raise
        return size

    def take_all(self, blobs: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Callable[[], int]]]:
        """Take many, side by side where that is faster; yield each with what taking it returns or raises."""
        for (blob, _), outcome in each_of(blobs, lambda each: self.take(*each), self.folder.place.at_once):
            yield blob, outcome

    def keep(self, blobs: set[str]) -> tuple[int, int]:
        """Remove all but these; return how many went, and how many the place keeps still."""
        gone = [each.name for each in self.folder.found() if each.name.rpartition("/")[2] not in blobs]
        return len(gone), self.folder.remove(gone) if gone else 0

    def held(self) -> set[str]:
        """Return which there are."""
        return {each.name.rpartition("/")[2] for each in self.folder.found()}
