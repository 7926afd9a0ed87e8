"""Codec: the door to all work on pixels, which is done in worker processes (a codec may crash on what it is given)."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dicomweb.model.archive import Opened


class CodecFailure(Exception):
    """The pixels cannot be decoded, encoded or shown; the sentence says why, with nothing of the patient."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """How something is to be shown: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_8.3.5.html

    parameters: window, viewport, quality, annotation, iccprofile, presentation state as the request has them, unread.
    frames: from 1; empty: all for animations, the middle one for pictures. thumbnail: small, and nothing but a picture.
    """

    media_type: str = "image/jpeg"
    frames: tuple[int, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    thumbnail: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What came of it. headers: for the answer, such as a Warning."""

    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Codec(Protocol):
    """One for each process of the server."""

    def can(self, source: str, target: str) -> bool:
        """Tell whether pixels in the transfer syntax `source` can be had in `target`."""

    def renders(self) -> tuple[str, ...]:
        """Return the media types that `render` makes, the preferred one first."""

    def transcoded(self, opened: Opened, target: str) -> AsyncIterator[bytes]:
        """Yield a whole Part 10 object in another transfer syntax; memory does not grow with its frames.

        Raises:
            CodecFailure: before the first chunk where it can be known.
        """

    async def transcoded_frame(self, opened: Opened, number: int, target: str) -> bytes:
        """Return one frame in another transfer syntax (bare, as a part of a frames answer). Raises CodecFailure."""

    async def render(self, opened: Opened, rendering: Rendering) -> Picture:
        """Show an instance or frames of it. Raises BadRequest: a parameter is none. CodecFailure."""

    async def close(self) -> None:
        """End the workers."""
