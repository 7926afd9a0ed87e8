"""New logical ids: random, yet in the order of time, so that the newest rows of an index lie together."""

import secrets
import time


def new_id() -> str:
    """Return a UUID of version 7 as text. Spec: RFC 9562 5.7"""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    number = number & ~(0xF000 << 64) | 0x7000 << 64
    number = number & ~(0xC000 << 48) | 0x8000 << 48
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
