"""One codec for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from dicomweb.pixels.codec import PixelCodec
from dicomweb.settings import DicomSettings


@pytest.fixture
async def codec() -> AsyncIterator[PixelCodec]:
    """A codec with one worker."""
    made = PixelCodec(DicomSettings(pixels_workers=1))
    yield made
    await made.close()
