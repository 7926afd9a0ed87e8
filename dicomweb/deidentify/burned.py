"""Burnt-in text: which parts of an image may name somebody, by rules of consoles and by the regions of ultrasound."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

Box = tuple[int, int, int, int]
"""Left, top, width, height."""
Conditions = Mapping[str, Any]

# Images of these are made or captured by people and programs that write on them; others are made by detectors.
_WRITTEN_ON = frozenset({"US", "ES", "XC", "OT", "IVUS", "ECG", "GM", "OP"})
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


def boxes_of(dataset: Any, more: Sequence[Mapping[str, Any]] = ()) -> list[Box] | None:
    """Return what to blacken; empty where nothing is written on such an image; None where nobody can know.

    Args:
        more: rules of the site, which go first: `{"if": {"Modality": "US", "Rows": 600}, "boxes": [[0, 0, 800, 60]]}`.
    """
    for rule in (*more, *_rules()):
        if _holds(dataset, rule["if"]):
            return [(int(left), int(top), int(width), int(height)) for left, top, width, height in rule["boxes"]]
    regions = _around_regions(dataset)
    if regions is not None:
        return regions
    burned = str(dataset.get("BurnedInAnnotation", "") or "").upper()
    if burned == "NO":
        return []
    risky = str(dataset.get("Modality", "")) in _WRITTEN_ON or str(dataset.get("SOPClassUID", "")).startswith(
        _SECONDARY
    )
    return None if burned == "YES" or risky else []


def _holds(dataset: Any, conditions: Conditions) -> bool:
    """A number has to be equal, a text to be in the value, in whatever case."""
    for keyword, wanted in conditions.items():
        value = dataset.get(keyword)
        if isinstance(wanted, int):
            if value != wanted:
                return False
        elif str(wanted).lower() not in str(value or "").lower():
            return False
    return True


def _around_regions(dataset: Any) -> list[Box] | None:
    """Return all that lies outside of the rectangle around the calibrated regions of an ultrasound image."""
    regions = dataset.get("SequenceOfUltrasoundRegions") or []
    corners = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    found = [tuple(int(region[corner].value) for corner in corners) for region in regions
             if all(corner in region for corner in corners)]  # fmt: skip
    if not found:
        return None
    rows, columns = int(dataset.get("Rows", 0)), int(dataset.get("Columns", 0))
    left, top = (max(min(each[place] for each in found), 0) for place in (0, 1))
    right, bottom = (max(each[place] for each in found) for place in (2, 3))
    sides = (
        (0, 0, columns, top),
        (0, bottom + 1, columns, rows - bottom - 1),
        (0, 0, left, rows),
        (right + 1, 0, columns - right - 1, rows),
    )
    return [side for side in sides if side[2] > 0 and side[3] > 0]


@cache
def _rules() -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads(files("dicomweb.deidentify").joinpath("burned.json").read_bytes())["rules"])
