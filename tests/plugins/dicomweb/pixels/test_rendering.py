"""What people see: windows, palettes, overlays, viewports, annotations, animations, reports and PDF."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from dicomweb.model.codec import CodecFailure, Picture, Rendering
from dicomweb.pixels.asked import asked_of
from dicomweb.pixels.codec import PixelCodec
from dicomweb.pixels.pictures import movies
from fhir_server.plugin_api import BadRequest
from tests.plugins.dicomweb.pixels.files import Object, all_images, image, read

RAMP = np.tile(np.arange(-1000, 1048, 16, dtype=np.int16), (32, 1))
PNG = "image/png"


async def shown(codec: PixelCodec, content: bytes, media: str = PNG, frames: tuple[int, ...] = (), **asked: str) -> Any:
    picture = await codec.render(Object(content), Rendering(media, frames, asked))
    return np.asarray(Image.open(io.BytesIO(picture.body)))


async def test_the_window_of_the_image_is_taken_unless_another_is_asked_for(codec: PixelCodec) -> None:
    content = image(RAMP, WindowCenter="40", WindowWidth="400")
    values, real = await shown(codec, content), RAMP.astype(float)
    wanted = np.clip((real - 39.5) / 399 + 0.5, 0, 1) * 255
    assert np.abs(values - wanted).max() <= 1
    other = await shown(codec, content, window="0,2000,linear-exact")
    assert np.abs(other - np.clip(real / 2000 + 0.5, 0, 1) * 255).max() <= 1
    curve = await shown(codec, content, window="0,800,sigmoid")
    assert np.abs(curve - 255 / (1 + np.exp(-4 * real / 800))).max() <= 1
    lung = await shown(codec, content, preset="ct-lung")
    assert np.abs(lung - np.clip((real + 400.5) / 1499 + 0.5, 0, 1) * 255).max() <= 1


async def test_a_window_is_found_by_its_name(codec: PixelCodec) -> None:
    names = {
        "WindowCenter": ["40", "300"],
        "WindowWidth": ["400", "1500"],
        "WindowCenterWidthExplanation": ["SOFT", "BONE"],
    }
    bone = await shown(codec, image(RAMP, **names), preset="bone")
    assert np.array_equal(bone, await shown(codec, image(RAMP), window="300,1500"))


async def test_rescale_padding_and_inversion_are_heeded(codec: PixelCodec) -> None:
    stored = (RAMP + 1024).astype(np.uint16)
    plain = await shown(codec, image(RAMP, WindowCenter="40", WindowWidth="400"))
    rescaled = image(stored, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter="40", WindowWidth="400")
    assert np.array_equal(await shown(codec, rescaled), plain)
    inverted = await shown(codec, image(stored, "MONOCHROME1"))
    assert np.array_equal(255 - inverted, await shown(codec, image(stored)))
    padded = RAMP.copy()
    padded[:, 0] = -32768
    bare = await shown(codec, image(padded))
    assert bare[0, 1:].std() < 10
    kept = await shown(codec, image(padded, PixelPaddingValue=-32768))
    assert kept[0, 1:].std() > 60


async def test_tables_go_before_windows(codec: PixelCodec) -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = [255 - number for number in range(256)]
    table["LUTData"].VR = "US"
    pixels = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    assert np.array_equal(await shown(codec, image(pixels, VOILUTSequence=[table])), 255 - pixels)
    twice = await shown(codec, image(pixels, ModalityLUTSequence=[table]), window="127.5,255,linear-exact")
    assert np.abs(twice.astype(int) - (255 - pixels)).max() <= 1


async def test_bits_above_those_stored_are_not_seen(codec: PixelCodec) -> None:
    pixels = np.tile(np.arange(0, 4096, 32, dtype=np.uint16), (8, 1))
    told = {"BitsStored": 12, "HighBit": 11}
    assert np.array_equal(await shown(codec, image(pixels | 0xF000, **told)), await shown(codec, image(pixels, **told)))


async def test_floating_point_pixels_are_seen_over_their_range(codec: PixelCodec) -> None:
    dataset = dcmread(io.BytesIO(image(RAMP)))
    values = RAMP.astype("<f4") / 3
    values[0, 0] = np.nan
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = values.tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    picture = await shown(codec, buffer.getvalue())
    assert (picture[1, 0], picture[1, -1]) == (0, 255)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
async def test_colours_are_what_they_were(codec: PixelCodec, photometric: str) -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
    picture = await shown(codec, image(pixels, photometric))
    if photometric == "RGB":
        assert np.array_equal(picture, pixels)
    y, cb, cr = (pixels[..., place].astype(float) for place in range(3))
    if photometric == "YBR_FULL":
        assert np.abs(np.clip(y + 1.402 * (cr - 128), 0, 255) - picture[..., 0]).max() <= 1
        assert np.abs(np.clip(y + 1.772 * (cb - 128), 0, 255) - picture[..., 2]).max() <= 1


async def test_palettes_of_both_byte_orders_give_the_same_colours(codec: PixelCodec) -> None:
    little, big = [await shown(codec, read(f"OBXXXX1A{part}.dcm")) for part in ("", "_expb")]
    assert little.shape == (600, 800, 3)
    assert np.array_equal(little, big)
    assert little.std() > 20


async def test_overlays_are_drawn_where_their_origin_says(codec: PixelCodec) -> None:
    dataset = dcmread(io.BytesIO(image(np.zeros((16, 16), np.uint8))))
    plane = np.zeros((4, 4), np.uint8)
    plane[1, 2] = 1
    for element, vr, value in ((0x10, "US", 4), (0x11, "US", 4), (0x40, "CS", "G"), (0x50, "SS", [5, 3]),
                               (0x100, "US", 1), (0x102, "US", 0)):  # fmt: skip
        dataset.add_new(0x60000000 | element, vr, value)
    dataset.add_new(0x60003000, "OW", np.packbits(plane.reshape(-1), bitorder="little").tobytes())
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    picture = await shown(codec, buffer.getvalue())
    assert np.argwhere(picture == 255).tolist() == [[5, 4]]
    assert (await shown(codec, buffer.getvalue(), overlays="false")).max() == 0


async def test_viewports_crop_flip_and_fit(codec: PixelCodec) -> None:
    pixels = np.zeros((40, 80), np.uint8)
    pixels[10:20, 60:70] = 255
    content = image(pixels, WindowCenter="127.5", WindowWidth="255", VOILUTFunction="LINEAR_EXACT")
    assert (await shown(codec, content, viewport="40,40")).shape == (20, 40)
    part = await shown(codec, content, viewport="10,10,60,10,10,10")
    assert part.shape == (10, 10)
    assert part.min() == 255
    flipped = await shown(codec, content, viewport="80,40,0,0,-80,40")
    assert np.array_equal(flipped, pixels[:, ::-1])
    with pytest.raises(CodecFailure, match="outside of the image"):
        await shown(codec, content, viewport="10,10,500,500,10,10")


async def test_annotations_are_written_when_asked_for(codec: PixelCodec) -> None:
    content = image(np.zeros((256, 256), np.uint8))
    plain, patient = await shown(codec, content), await shown(codec, content, annotation="patient")
    assert plain.max() == 0
    assert (patient[:60, :160] > 200).sum() > 50


async def test_quality_and_colour_profile_change_the_file(codec: PixelCodec) -> None:
    opened = Object(read("US1_UNCR.dcm"))
    small, large = [
        await codec.render(opened, Rendering("image/jpeg", parameters={"quality": quality})) for quality in ("20", "95")
    ]
    assert len(small.body) < len(large.body) / 2
    profiled = await codec.render(opened, Rendering("image/jpeg", parameters={"iccprofile": "srgb"}))
    assert Image.open(io.BytesIO(profiled.body)).info["icc_profile"]


async def test_animations_have_all_frames_and_pictures_the_middle_one(codec: PixelCodec) -> None:
    frames = np.stack([np.full((8, 8), 50 * number, np.uint8) for number in range(5)])
    told = {"WindowCenter": "127.5", "WindowWidth": "255", "VOILUTFunction": "LINEAR_EXACT", "FrameTime": "200"}
    content = image(frames, **told)
    picture = await codec.render(Object(content), Rendering("image/gif"))
    film = Image.open(io.BytesIO(picture.body))
    assert (film.n_frames, film.info["duration"]) == (5, 200)
    assert int((await shown(codec, content))[0, 0]) == 100
    assert int((await shown(codec, content, frames=(5,)))[0, 0]) == 200


async def test_a_thumbnail_is_small(codec: PixelCodec) -> None:
    picture = await codec.render(Object(read("US1_UNCR.dcm")), Rendering("image/jpeg", thumbnail=True))
    assert max(Image.open(io.BytesIO(picture.body)).size) == 128


async def test_every_image_of_pydicom_can_be_seen(codec: PixelCodec) -> None:
    seen = 0
    for name, opened in all_images(500):
        if name in ("JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm"):
            continue
        picture = await codec.render(opened, Rendering("image/jpeg", parameters={"viewport": "64,64"}))
        assert max(Image.open(io.BytesIO(picture.body)).size) == 64, name
        seen += 1
    assert seen > 70


async def test_uncompressed_images_are_shown_without_a_worker(fresh: PixelCodec) -> None:
    await shown(fresh, read("CT_small.dcm"))
    assert fresh.pool.pids == []


async def test_a_report_is_a_page_without_scripts(codec: PixelCodec) -> None:
    dataset = dcmread(io.BytesIO(read("test-SR.dcm")))
    dataset.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning = "<script>alert(1)</script>"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    opened = Object(buffer.getvalue())
    page: Picture = await codec.render(opened, Rendering("text/html"))
    assert page.media_type == "text/html; charset=utf-8"
    assert b"&lt;script&gt;" in page.body
    assert b"<script" not in page.body
    text = await codec.render(opened, Rendering("text/plain"))
    assert text.body.decode().splitlines()[0]


async def test_a_pdf_is_given_as_it_is_and_as_pictures(codec: PixelCodec) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 100)
    written = io.BytesIO()
    document.save(written)
    dataset = dcmread(io.BytesIO(image(np.zeros((2, 2), np.uint8))))
    del dataset.PixelData, dataset.Rows
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = written.getvalue() + b"\0" * (len(written.getvalue()) % 2)
    dataset.EncapsulatedDocumentLength = len(written.getvalue())
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    opened = Object(buffer.getvalue())
    assert (await codec.render(opened, Rendering("application/pdf"))).body == written.getvalue()
    page = await codec.render(opened, Rendering("image/png", parameters={"viewport": "100,100"}))
    assert Image.open(io.BytesIO(page.body)).size == (100, 50)
    with pytest.raises(CodecFailure, match="has 1 pages"):
        await codec.render(opened, Rendering("image/png", parameters={"page": "2"}))
    with pytest.raises(CodecFailure, match="not shown as image/gif"):
        await codec.render(opened, Rendering("image/gif"))


@pytest.mark.parametrize(
    "wrong",
    [{"window": "1"}, {"window": "1,0"}, {"window": "1,nan"}, {"window": "1,2,cubic"}, {"viewport": "0,1"},
     {"viewport": "1,2,3"}, {"viewport": "100000,1"}, {"quality": "101"}, {"quality": "x"}, {"annotation": "all"},
     {"iccprofile": "adobergb"}, {"viewport": "1,1,-1,0,1,1"}],
)  # fmt: skip
async def test_parameters_that_are_none_are_named(codec: PixelCodec, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        asked_of(wrong)
    with pytest.raises(BadRequest):
        await codec.render(Object(read("CT_small.dcm")), Rendering(parameters=wrong))


@pytest.mark.skipif(not movies(), reason="ffmpeg is not installed")
async def test_films_are_made_where_ffmpeg_is(codec: PixelCodec) -> None:
    picture = await codec.render(Object(read("emri_small.dcm")), Rendering("video/mp4"))
    assert picture.body[4:8] == b"ftyp"


async def test_without_ffmpeg_films_are_refused_with_the_reason(
    fresh: PixelCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "video/mp4" not in fresh.renders()
    with pytest.raises(CodecFailure, match="ffmpeg"):
        await fresh.render(Object(read("emri_small.dcm")), Rendering("video/mp4"))
