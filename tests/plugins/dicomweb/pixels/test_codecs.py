"""Every file of pydicom through every transfer syntax: bit-exact where that is lossless, near it where it is not."""

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import pixel_array

from dicomweb.model.codec import CodecFailure
from dicomweb.pixels.codec import PixelCodec
from dicomweb.pixels.codecs import coded_photometric, decode_frame, encode_frame, unsuited
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import layout_of
from dicomweb.pixels.native import native_layout
from dicomweb.pixels.syntaxes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    HTJ2K_LOSSLESS,
    IMPLICIT,
    JPEG,
    JPEG_2000_LOSSLESS,
    JPEG_LS,
    RLE,
    SYNTAXES,
)
from tests.plugins.dicomweb.pixels.files import Object, all_images, image, read

LOSSLESS = [each for each in SYNTAXES.values() if each.written and each.lossless and not each.native]
LOSSY = [each for each in SYNTAXES.values() if each.written and not each.lossless]
BROKEN = {"JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm"}
SAME = [
    ("693_J2KR.dcm", "693_UNCR.dcm"), ("MR2_J2KR.dcm", "MR2_UNCR.dcm"), ("US1_J2KR.dcm", "US1_UNCR.dcm"),
    ("MR_small_RLE.dcm", "MR_small.dcm"), ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    ("MR_small_jp2klossless.dcm", "MR_small.dcm"), ("MR_small_bigendian.dcm", "MR_small.dcm"),
    ("emri_small_RLE.dcm", "emri_small.dcm"), ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm"),
    ("emri_small_big_endian.dcm", "emri_small.dcm"), ("rtdose_rle.dcm", "rtdose.dcm"),
    ("SC_rgb_rle_16bit.dcm", "SC_rgb_16bit.dcm"), ("SC_rgb_rle_32bit_2frame.dcm", "SC_rgb_32bit_2frame.dcm"),
    ("SC_rgb_expb_16bit.dcm", "SC_rgb_16bit.dcm"), ("OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_2frame.dcm"),
]  # fmt: skip


async def transcoded(codec: PixelCodec, opened: Object, target: str) -> bytes:
    return b"".join([chunk async for chunk in codec.transcoded(opened, target)])


async def test_every_image_of_pydicom_comes_back_bit_by_bit() -> None:
    seen = 0
    for name, opened in all_images(300):
        if name in BROKEN:
            continue
        layout, uid = layout_of(opened.dataset), opened.instance.transfer_syntax
        if uid == BIG_ENDIAN:
            continue
        frame = decode_frame(await opened.frame(1), layout, uid)
        plain = native_layout(layout, frame.photometric)
        for target in LOSSLESS:
            if target.uid.endswith((".57", ".202")) or unsuited(plain, target):
                continue  # the same codec as .70 and .201
            coded = encode_frame(frame.array, plain, target.uid)
            there = replace(plain, photometric=coded_photometric(plain.photometric, target))
            back = decode_frame(coded, there, target.uid)
            assert back.array.dtype == frame.array.dtype, (name, target.uid)
            assert np.array_equal(back.array, frame.array), (name, target.uid)
            assert back.photometric == frame.photometric, (name, target.uid)
            seen += 1
    assert seen > 150


@pytest.mark.parametrize(("coded", "plain"), SAME)
async def test_a_compressed_file_becomes_the_uncompressed_one_beside_it(
    codec: PixelCodec, coded: str, plain: str
) -> None:
    made = dcmread(io.BytesIO(await transcoded(codec, Object(read(coded)), EXPLICIT)))
    assert np.array_equal(pixel_array(made), pixel_array(dcmread(io.BytesIO(read(plain)))))


@pytest.mark.parametrize("target", [IMPLICIT, DEFLATED, RLE, JPEG_LS, JPEG_2000_LOSSLESS])
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "emri_small.dcm", "color-pl.dcm", "SC_rgb_2frame.dcm", "OBXXXX1A_2frame.dcm"]
)
async def test_pydicom_reads_what_was_transcoded(codec: PixelCodec, name: str, target: str) -> None:
    opened = Object(read(name))
    made = dcmread(io.BytesIO(await transcoded(codec, opened, target)))
    assert str(made.file_meta.TransferSyntaxUID) == target
    assert np.array_equal(pixel_array(made), pixel_array(opened.dataset))
    assert made.PatientName == opened.dataset.PatientName
    left = {element.tag for element in opened.dataset if element.tag.element} - {element.tag for element in made}
    assert {f"{tag:08X}" for tag in left} <= {"FFFCFFFC"}  # padding after the pixels


async def test_frames_that_begin_within_a_byte_stay_whole(codec: PixelCodec) -> None:
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (3, 5, 7), np.uint8)
    whole = image(np.zeros((3, 5, 7), np.uint8), SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    dataset = dcmread(io.BytesIO(whole))
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    opened = Object(buffer.getvalue())
    made = dcmread(io.BytesIO(await transcoded(codec, opened, DEFLATED)))
    assert np.array_equal(pixel_array(made), bits)
    second = np.unpackbits(np.frombuffer(await opened.frame(2), np.uint8), bitorder="little")[:35]
    assert np.array_equal(second.reshape(5, 7), bits[1])


@pytest.mark.parametrize("target", LOSSY, ids=lambda each: each.uid[-5:])
async def test_lossy_syntaxes_stay_near_and_say_so(codec: PixelCodec, target: object) -> None:
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    pixels = (120 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7)).astype(np.uint8)
    uid = target.uid  # type: ignore[attr-defined]
    opened = Object(image(pixels))
    made = dcmread(io.BytesIO(await transcoded(codec, opened, uid)))
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == target.method  # type: ignore[attr-defined]
    assert float(made.LossyImageCompressionRatio) > 1
    back = decode_frame(await Object(_saved(made)).frame(1), layout_of(made), uid).array
    assert np.abs(back.astype(int) - pixels).mean() < 4


def _saved(dataset: object) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


async def test_a_single_frame_is_had_in_another_syntax(codec: PixelCodec) -> None:
    opened = Object(read("emri_small.dcm"))
    frame = await codec.transcoded_frame(opened, 3, HTJ2K_LOSSLESS)
    back = decode_frame(frame, layout_of(opened.dataset), HTJ2K_LOSSLESS)
    assert np.array_equal(back.array, pixel_array(opened.dataset, index=2))


async def test_uncompressed_frames_need_no_worker(fresh: PixelCodec) -> None:
    opened = Object(read("emri_small_big_endian.dcm"))
    frame = await fresh.transcoded_frame(opened, 1, EXPLICIT)
    assert np.array_equal(np.frombuffer(frame, "<u2"), pixel_array(opened.dataset, index=0).reshape(-1))
    assert fresh.pool.pids == []


async def test_what_has_no_place_in_a_syntax_is_said(codec: PixelCodec) -> None:
    with pytest.raises(CodecFailure, match="have no place"):
        await transcoded(codec, Object(read("CT_small.dcm")), JPEG)
    with pytest.raises(CodecFailure, match="cannot be had"):
        await transcoded(codec, Object(read("CT_small.dcm")), "1.2.3")
    assert not codec.can(EXPLICIT, BIG_ENDIAN)
    assert codec.can(BIG_ENDIAN, EXPLICIT)


async def test_a_frame_that_claims_to_be_larger_than_its_attributes_is_refused(codec: PixelCodec) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = Object(read("JPEG2000-embedded-sequence-delimiter.dcm"))
    with pytest.raises(CodecFailure, match="its attributes 1024 x 256"):
        await transcoded(codec, opened, EXPLICIT)


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm"]
)
async def test_damaged_frames_are_refused_not_fatal(codec: PixelCodec, name: str) -> None:
    opened = Object(read(name))
    frame, layout = bytearray(await opened.frame(1)), layout_of(opened.dataset)
    rng = np.random.default_rng(3)
    for _ in range(8):
        damaged = bytearray(frame)
        for place in rng.integers(0, len(damaged), 8):
            damaged[place] = rng.integers(0, 256)
        cut = bytes(damaged[: rng.integers(1, len(damaged))])
        for data in (bytes(damaged), cut):
            try:
                done = await codec.pool.run(
                    "transcode", frames=[data], layout=_plain(layout), source=opened.instance.transfer_syntax,
                    target=EXPLICIT, quality=90,
                )  # fmt: skip
                assert len(done["frames"][0]) == layout.frame_bytes
            except PixelFailure as failure:
                assert failure.kind in ("refused", "crashed", "memory")


def _plain(layout: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(layout)  # type: ignore[call-overload, no-any-return]
