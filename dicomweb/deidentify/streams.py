"""Streams: compressed frames without their comments and application segments, where programs write names."""

_JPEG_COMMENT = 0xFE
_JPEG_APPLICATION = range(0xE0, 0xF0)
_ADOBE = 0xEE  # says how colours were coded, and nothing else
_J2K_COMMENT, _J2K_TILE = 0x64, 0x90


def bare(frame: bytes) -> bytes:
    """Return a frame of JPEG, JPEG-LS or JPEG 2000 without comments; others as they are."""
    if frame[:4] == b"\xff\x4f\xff\x51":
        return _bare_2000(frame)
    return _bare_jpeg(frame) if frame[:2] == b"\xff\xd8" else frame


def _bare_jpeg(frame: bytes) -> bytes:
    kept, at = [frame[:2]], 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xDA or length < 2:
            break
        segment = frame[at : at + 2 + length]
        talks = marker == _JPEG_COMMENT or (marker in _JPEG_APPLICATION and marker != _ADOBE)
        if not talks or (marker == 0xE0 and segment[4:8] == b"JFIF"):
            kept.append(segment)
        at += 2 + length
    return b"".join(kept) + frame[at:]


def _bare_2000(frame: bytes) -> bytes:
    kept, at = [frame[:2]], 2
    while at + 4 <= len(frame) and frame[at] == 0xFF and frame[at + 1] != _J2K_TILE:
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        if frame[at + 1] != _J2K_COMMENT:
            kept.append(frame[at : at + 2 + length])
        at += 2 + length
    return b"".join(kept) + frame[at:]
