"""Progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""

import sys
from typing import Any, TextIO

from tqdm import tqdm

_EVERY = 5.0


class _Lines:
    """A stream that gets a bar's frames as lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a frame without what moves a cursor."""
        frame = text.strip("\r\n ")
        return self._stream.write(frame + "\n") if frame else 0

    def flush(self) -> None:
        """Hand on."""
        self._stream.flush()


def progress(unit: str) -> "tqdm[Any]":
    """Return a bar that counts `unit`."""
    if sys.stderr.isatty():
        return tqdm(unit=unit, smoothing=0.1)
    return tqdm(unit=unit, file=_Lines(sys.stderr), mininterval=_EVERY, maxinterval=_EVERY, delay=_EVERY, ncols=100)
