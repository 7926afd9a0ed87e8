"""Pieces of pixel data put together."""

from struct import unpack_from


def defragmented(span: bytes) -> bytes:
    """Return the fragments in a span of items, joined."""
    _, _, length = unpack_from("<HHL", span, 0)
    if length + 8 == len(span):
        return span[8:]
    parts, place = [], 0
    while place + 8 <= len(span):
        _, _, length = unpack_from("<HHL", span, place)
        parts.append(span[place + 8 : place + 8 + length])
        place += 8 + length
    return b"".join(parts)


def native_bits(data: bytes, skip: int, count: int) -> bytes:
    """Return `count` bits of a bit stream (the lowest bit of each byte is the first), after some that are skipped."""
    number = (int.from_bytes(data, "little") >> skip) & ((1 << count) - 1)
    return number.to_bytes((count + 7) // 8 + ((count + 7) // 8) % 2, "little")
