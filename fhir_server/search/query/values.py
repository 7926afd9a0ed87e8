"""Values of search parameters, as the nodes of a search tree hold them. Times are microseconds since 1970 UTC."""

from dataclasses import dataclass
from enum import StrEnum


class Prefix(StrEnum):
    """Comparison prefixes. Spec: https://hl7.org/fhir/R4/search.html#prefix"""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


class StringMode(StrEnum):
    """How a string or URI is compared; `starts`, `contains`, `ends` and `equals` on folded text, `exact` on the
    original. `ends` and `equals` come from `_filter` and are for strings alone."""

    STARTS = "starts"
    CONTAINS = "contains"
    ENDS = "ends"
    EQUALS = "equals"
    EXACT = "exact"
    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class TokenValue:
    """`code` alone: system None; `|code`: system ""; `system|`: code None."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class DateValue:
    """The interval [low, high) that a date parameter's value covers, at its own precision and time zone."""

    prefix: Prefix
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """The value and the range [low, high) that its precision implies."""

    prefix: Prefix
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with a unit: system None or "" with code "" means any unit; `canonical` is the UCUM base form if
    known."""

    number: NumberValue
    system: str
    code: str
    canonical: tuple[NumberValue, str] | None = None


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """One of: type and id, id alone (type None), an absolute or canonical URL; `version` where the reference names
    one."""

    type: str | None = None
    id: str | None = None
    url: str | None = None
    version: str | None = None
