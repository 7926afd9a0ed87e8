"""Codecs for the tests of this folder."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from dicomweb.pixels.codec import PixelCodec
from dicomweb.settings import DicomSettings


@pytest.fixture(scope="module")
def codec() -> Iterator[PixelCodec]:
    """A codec with one worker, whose beginning takes most of the time of a test."""
    made = PixelCodec(DicomSettings(pixels_workers=1))
    yield made
    asyncio.run(made.close())


@pytest.fixture
async def fresh() -> AsyncIterator[PixelCodec]:
    """A codec that was not used yet."""
    made = PixelCodec(DicomSettings(pixels_workers=1))
    yield made
    await made.close()
