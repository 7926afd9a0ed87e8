"""Which file the record is at the moment: a number in memory that the processes of a folder share.

A rotation of keys puts another file in the place of the record while it is served. Whoever has it open asks here
before each use, which costs a tenth of a microsecond, and opens the record anew when the number is another.
"""

import mmap
import os
from pathlib import Path
from typing import Final

from fhir_server.encryption.masters.chosen import encrypted
from fhir_server.settings import Settings

_FILE: Final = "generation"
_SIZE: Final = 8


class Generation:
    """The number of one folder; in a plain store it never changes, and there is no file."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._map: mmap.mmap | None = None
        if encrypted(settings):
            descriptor = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, _SIZE)
                self._map = mmap.mmap(descriptor, _SIZE)
            finally:
                os.close(descriptor)

    def __call__(self) -> bytes:
        """Return it as it is now."""
        return b"" if self._map is None else self._map[:]

    def advance(self) -> None:
        """Let everybody open the record anew; called in the turn to write, once the new file is in its place."""
        if self._map is not None:
            self._map[:] = (int.from_bytes(self._map[:], "big") + 1).to_bytes(_SIZE, "big")

    def close(self) -> None:
        """Give the memory back."""
        if self._map is not None:
            self._map.close()
            self._map = None
