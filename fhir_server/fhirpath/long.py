"""Long: whole numbers of 64 bits, a type of its own beside Integer.

Spec: https://hl7.org/fhirpath/#long
"""

# What does not fit is an overflow, which arithmetic answers with the empty collection.
INTEGER_LIMIT = 2**31
LONG_LIMIT = 2**63


class Long(int):
    """A whole number that was written with an `L`, converted by `toLong()`, or computed from one."""

    __slots__ = ()


def fits(value: int) -> bool:
    """Whether a whole number is in the range of its type."""
    limit = LONG_LIMIT if isinstance(value, Long) else INTEGER_LIMIT
    return -limit <= value < limit
