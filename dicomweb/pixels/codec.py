"""PixelCodec: what model/codec.py promises, by a pool of workers."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dicomweb.model.archive import Opened
from dicomweb.model.codec import CodecFailure, Picture, Rendering
from dicomweb.pixels.asked import Asked, asked_of
from dicomweb.pixels.codecs import syntax_of, unsuited
from dicomweb.pixels.documents import document_media
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout, Number, layout_of
from dicomweb.pixels.native import join_frames, swapped
from dicomweb.pixels.pictures import movies
from dicomweb.pixels.pool import Pool
from dicomweb.pixels.quiet import quiet
from dicomweb.pixels.rendering import head_of, render_frames
from dicomweb.pixels.syntaxes import BIG_ENDIAN, DEFLATED, EXPLICIT, SYNTAXES, Syntax
from dicomweb.pixels.transcoding import (
    deflated,
    element_after,
    element_before,
    item_of,
    with_pixels_of,
    written,
)
from fhir_server.plugin_api import BadRequest

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_BATCH = 8_000_000
_SHORT = 64_000
_HEADS = 200
_NUMBERS: dict[str, Number] = {"7FE00008": "float", "7FE00009": "double"}
_PICTURES = ("image/jpeg", "image/png", "image/gif")


@dataclass(frozen=True, slots=True)
class Source:
    """An instance whose frames are wanted: its attributes and what they say of its pixels.

    words: its samples lie in 16-bit words, which matters where those are big endian.
    """

    head: bytes
    dataset: Any
    layout: Layout
    syntax: Syntax
    words: bool = False


def make_codec(settings: "DicomSettings") -> "PixelCodec":
    """Make the codec of a process."""
    return PixelCodec(settings)


class PixelCodec:
    """See model/codec.py. Workers begin when they are first needed."""

    def __init__(self, settings: "DicomSettings") -> None:
        quiet()
        self._settings = settings
        self._heads: dict[str, bytes] = {}
        self.pool = Pool(
            settings.pixels_workers, settings.pixels_timeout, settings.pixels_memory, settings.pixels_waiting
        )

    def can(self, source: str, target: str) -> bool:
        """Tell whether pixels in the transfer syntax `source` can be had in `target`."""
        if source == target:
            return True
        known = source in SYNTAXES and target in SYNTAXES
        return known and SYNTAXES[target].written and SYNTAXES[source].codec != "video"

    def renders(self) -> tuple[str, ...]:
        """Return the media types that `render` makes, the preferred one first."""
        film = ("video/mp4",) if movies() else ()
        return (*_PICTURES, *film, "application/pdf", "text/html", "text/plain")

    async def transcoded(self, opened: Opened, target: str) -> AsyncIterator[bytes]:
        """Yield a whole Part 10 object in another transfer syntax."""
        try:
            async for chunk in self._transcoded(opened, target):
                yield chunk
        except PixelFailure as failure:
            raise CodecFailure(failure.text) from failure

    async def _transcoded(self, opened: Opened, target: str) -> AsyncIterator[bytes]:
        instance = opened.instance
        if target == instance.transfer_syntax:
            async for chunk in opened.chunks():
                yield chunk
            return
        self._check(instance.transfer_syntax, target)
        parts = self._parts(opened, target)
        yield await anext(parts)
        async for chunk in deflated(parts) if target == DEFLATED else parts:
            yield chunk

    async def _parts(self, opened: Opened, target: str) -> AsyncIterator[bytes]:
        """Yield File Meta Information, then the data set in pieces."""
        if opened.instance.pixels is None:
            whole = written(await self._read(await opened.header()), target if SYNTAXES[target].native else EXPLICIT)
            yield whole.meta
            yield whole.data
            return
        source, goal = await self._source(opened), SYNTAXES[target]
        frames = self._batches(opened, source, goal)
        first, layout = await anext(frames)
        ratio = layout.frame_bytes / max(len(first[0]), 1)
        with_pixels_of(source.dataset, layout, goal, source.syntax, ratio)
        made = written(source.dataset, target)
        yield made.meta
        yield made.data + element_before(layout, goal)
        if goal.native and layout.allocated == 1 and layout.frame_bits % 8:
            yield await self._bits(first, frames, layout)
            return
        for frame in first:
            yield frame if goal.native else item_of(frame)
        async for batch, _ in frames:
            for frame in batch:
                yield frame if goal.native else item_of(frame)
        yield element_after(layout, goal)

    async def _bits(
        self, first: list[bytes], frames: AsyncIterator[tuple[list[bytes], Layout]], layout: Layout
    ) -> bytes:
        every = [*first]
        async for batch, _ in frames:
            every += batch
        return join_frames(every, layout)

    async def _batches(
        self, opened: Opened, source: Source, target: Syntax
    ) -> AsyncIterator[tuple[list[bytes], Layout]]:
        """Yield frames in the transfer syntax, some at a time, with the layout that they have there."""
        for numbers in _some(source.layout):
            frames = [await opened.frame(number) for number in numbers]
            yield await self._frames(source, frames, target)

    async def _frames(self, source: Source, frames: Sequence[bytes], target: Syntax) -> tuple[list[bytes], Layout]:
        layout = source.layout
        if source.syntax.native and target.native:
            return [_little(frame, source) for frame in frames], layout
        why = unsuited(layout, target)
        if why:
            raise PixelFailure("unsupported", why)
        little = [_little(frame, source) for frame in frames]
        done = await self.pool.run(
            "transcode", frames=little, layout=asdict(layout), target=target.uid,
            source=_given(source.syntax), quality=self._settings.pixels_quality,
        )  # fmt: skip
        return list(done["frames"]), replace(layout, planar=0, photometric=done["photometric"])

    async def transcoded_frame(self, opened: Opened, number: int, target: str) -> bytes:
        """Return one frame in another transfer syntax."""
        if target == opened.instance.transfer_syntax and target != BIG_ENDIAN:
            return await opened.frame(number)
        try:
            self._check(opened.instance.transfer_syntax, target)
            source = await self._source(opened)
            frames, _ = await self._frames(source, [await opened.frame(number)], SYNTAXES[target])
            return frames[0]
        except PixelFailure as failure:
            raise CodecFailure(failure.text) from failure

    async def render(self, opened: Opened, rendering: Rendering) -> Picture:
        """Show an instance or frames of it."""
        try:
            asked = asked_of(rendering.parameters, rendering.media_type, thumbnail=rendering.thumbnail)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        try:
            done = await self._rendered(opened, rendering, asked)
        except PixelFailure as failure:
            raise CodecFailure(failure.text) from failure
        return Picture(bytes(done["body"]), done["media"])

    async def _rendered(self, opened: Opened, rendering: Rendering, asked: Asked) -> dict[str, Any]:
        instance = opened.instance
        if document_media(instance.sop_class):
            self._bounded(instance.size)
            content = b"".join([chunk async for chunk in opened.chunks()])
            done: dict[str, Any] = await self.pool.run("document", content=content, asked=asked.plain())
            return done
        if instance.pixels is None:
            raise PixelFailure("unsupported", "the object has neither pixels nor a document to show")
        syntax = syntax_of(instance.transfer_syntax)
        if syntax.codec == "video":
            return await self._video(opened, syntax, asked)
        source = await self._source(opened)
        numbers = self._chosen(rendering, source.layout, asked)
        frames = [_little(await opened.frame(number), source) for number in numbers]
        arguments = {
            "head": source.head, "frames": frames, "numbers": [number - 1 for number in numbers],
            "source": _given(syntax), "asked": asked.plain(),
        }  # fmt: skip
        size = sum(map(len, frames)) + len(source.head)
        here = syntax.native and size <= self._settings.pixels_here and asked.media != "video/mp4"
        shown: dict[str, Any] = await (
            self.pool.here(_rendered_here, arguments) if here else self.pool.run("render", **arguments)
        )
        return shown

    async def _video(self, opened: Opened, syntax: Syntax, asked: Asked) -> dict[str, Any]:
        if asked.media != syntax.media:
            raise PixelFailure("unsupported", f"a film of this kind is shown as {syntax.media}")
        return {"body": await opened.frame(1), "media": syntax.media}

    def _chosen(self, rendering: Rendering, layout: Layout, asked: Asked) -> list[int]:
        frames = layout.frames
        moving = asked.media in ("image/gif", "video/mp4") and not rendering.thumbnail
        numbers = list(rendering.frames) or (list(range(1, frames + 1)) if moving else [(frames + 1) // 2])
        most = min(self._settings.pixels_frames, max(1, self._settings.pixels_most // max(layout.frame_bytes, 1)))
        return numbers[:most] if moving else numbers[:1]

    async def _source(self, opened: Opened) -> Source:
        head = await self._head(opened)
        dataset = await self._read(head)
        layout = layout_of(dataset)
        pixels = opened.instance.pixels
        assert pixels is not None
        number = _NUMBERS.get(pixels.tag, "integer")
        shaped = replace(layout, frames=max(pixels.frames, 1), number=number)
        self._bounded(shaped.frame_bytes)
        syntax = syntax_of(opened.instance.transfer_syntax)
        return Source(head, dataset, shaped, syntax, syntax.uid == BIG_ENDIAN and head[-8:-6] == b"OW")

    async def _head(self, opened: Opened) -> bytes:
        """Return the header of an instance, kept by its digest: frames and windows of one are asked for in a row."""
        digest = opened.instance.sha256
        if digest and digest in self._heads:
            return self._heads[digest]
        head = await opened.header()
        if digest and len(head) <= _SHORT:
            while len(self._heads) >= _HEADS:
                self._heads.pop(next(iter(self._heads)), None)
            self._heads[digest] = head
        return head

    async def _read(self, head: bytes) -> Any:
        """Read attributes; where they are many, on a thread, so that nobody waits for that."""
        return head_of(head) if len(head) <= _SHORT else await self.pool.here(head_of, head)

    def _bounded(self, size: int) -> None:
        if size > self._settings.pixels_most:
            raise PixelFailure("unsupported", f"{size} bytes are more than are worked on at once (pixels_most)")

    def _check(self, source: str, target: str) -> None:
        if not self.can(source, target):
            raise PixelFailure("unsupported", f"{source[:64]} cannot be had as {target[:64]}")

    async def close(self) -> None:
        """End the workers."""
        await self.pool.close()


def _some(layout: Layout) -> Iterator[list[int]]:
    """Yield numbers of frames, from 1, as many at a time as fit into a batch; the first alone, for its facts."""
    size = max(1, _BATCH // max(layout.frame_bytes, 1))
    yield [1]
    for start in range(2, layout.frames + 1, size):
        yield list(range(start, min(start + size, layout.frames + 1)))


def _little(frame: bytes, source: Source) -> bytes:
    return swapped(frame, source.layout, source.words) if source.syntax.uid == BIG_ENDIAN else frame


def _given(syntax: Syntax) -> str:
    """Return the syntax of frames after `_little`."""
    return EXPLICIT if syntax.native else syntax.uid


def _rendered_here(arguments: dict[str, Any]) -> dict[str, Any]:
    return render_frames(**arguments)
