"""How much one resource may cost in a view, and how large a definition may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewLimits:
    """Bounds on a definition and on what comes of one resource.

    Attributes:
        rows: rows that one resource may give; siblings with `forEach` multiply.
        columns: columns of one view.
        depth: `select` and `unionAll` within each other.
        repeat_depth: levels that `repeat` descends.
    """

    rows: int = 100_000
    columns: int = 1000
    depth: int = 20
    repeat_depth: int = 100


DEFAULT_LIMITS = ViewLimits()
