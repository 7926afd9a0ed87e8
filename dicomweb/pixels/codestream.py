"""What a compressed frame says of itself: bits of a sample, whether signed, how many components."""

from dataclasses import dataclass

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Codestream:
    """precision: bits of a sample. components: of a pixel. adobe: colour transform of an Adobe marker, -1 for none.

    jfif: it has the marker that makes three components YCbCr.
    """

    precision: int
    signed: bool
    components: int
    rows: int
    columns: int
    adobe: int = -1
    jfif: bool = False


def codestream_of(data: bytes) -> Codestream | None:
    """Return what the header of a JPEG, JPEG-LS or JPEG 2000 frame says; None where none is found."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:
        return _of_2000(data[start + 4 : start + 64])
    return _of_jpeg(data) if data[:2] == b"\xff\xd8" else None


def _of_2000(size: bytes) -> Codestream | None:
    if len(size) < 40:
        return None
    width, height, left, top = (int.from_bytes(size[at : at + 4], "big") for at in (4, 8, 12, 16))
    bits = size[38]
    return Codestream((bits & 0x7F) + 1, bits >= 0x80, int.from_bytes(size[36:38], "big"), height - top, width - left)


def _of_jpeg(data: bytes) -> Codestream | None:
    at, adobe, jfif = 2, -1, False
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        jfif = jfif or (marker == 0xE0 and body[:4] == b"JFIF")
        if marker in _FRAMES and len(body) >= 6:
            rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            return Codestream(body[0], False, body[5], rows, columns, adobe, jfif)
        if marker == 0xDA or length < 2:
            return None
        at += 2 + length
    return None
