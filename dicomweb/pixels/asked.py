"""Asked: how something is to be shown, read from the query parameters of a rendered request.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_8.3.5.html
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
ANNOTATIONS = ("patient", "technique")
PROFILES = ("no", "yes", "srgb")
MOST_SIDE = 8_192
THUMBNAIL = 128

# Centre and width in Hounsfield units, as radiology textbooks and viewers give them.
PRESETS = {
    "ct-abdomen": (40.0, 400.0),
    "ct-angio": (300.0, 600.0),
    "ct-bone": (300.0, 1500.0),
    "ct-brain": (40.0, 80.0),
    "ct-chest": (40.0, 400.0),
    "ct-lung": (-400.0, 1500.0),
}


@dataclass(frozen=True, slots=True)
class Viewport:
    """width, height: the most that is wanted. left, top, across, down: of the source; negative sizes flip it."""

    width: int
    height: int
    left: int = 0
    top: int = 0
    across: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """media: type of the answer. window: centre, width, function. preset: name of a window of the image, or of
    PRESETS. quality: 1 to 100. page: of a document, from 1."""

    media: str = "image/jpeg"
    window: tuple[float, float, str] | None = None
    preset: str = ""
    viewport: Viewport | None = None
    quality: int = 90
    annotation: tuple[str, ...] = ()
    profile: str = "no"
    overlays: bool = True
    page: int = 1

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for a worker."""
        return asdict(self)


def asked_from(plain: Mapping[str, Any]) -> Asked:
    """Return what `plain` made."""
    window, viewport = plain["window"], plain["viewport"]
    return Asked(**{
        **plain,
        "window": tuple(window) if window else None,
        "viewport": Viewport(**viewport) if viewport else None,
        "annotation": tuple(plain["annotation"]),
    })  # fmt: skip


def asked_of(parameters: Mapping[str, str], media: str = "image/jpeg", *, thumbnail: bool = False) -> Asked:
    """Read parameters; those of other names are somebody else's.

    Raises:
        ValueError: one of them is none; the message says which.
    """
    viewport = _viewport(parameters.get("viewport", ""))
    return Asked(
        media=media,
        window=_window(parameters),
        preset=parameters.get("preset", "").strip().lower(),
        viewport=viewport or (Viewport(THUMBNAIL, THUMBNAIL) if thumbnail else None),
        quality=_whole("quality", parameters.get("quality") or "90", 1, 100),
        annotation=_annotation(parameters.get("annotation", "")),
        profile=_one_of("iccprofile", parameters.get("iccprofile") or "no", PROFILES),
        overlays=_one_of("overlays", parameters.get("overlays") or "true", ("true", "false")) == "true",
        page=_whole("page", parameters.get("page") or "1", 1, 100_000),
    )


def _window(parameters: Mapping[str, str]) -> tuple[float, float, str] | None:
    centre, width = parameters.get("windowcenter", ""), parameters.get("windowwidth", "")
    text = parameters.get("window", "") or (f"{centre},{width},linear" if centre or width else "")
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3):
        raise ValueError("window is centre,width,function: 40,400,linear")
    function = FUNCTIONS.get(parts[2].lower() if len(parts) == 3 else "linear")
    if function is None:
        raise ValueError(f"the function of window is one of {', '.join(FUNCTIONS)}")
    width_ = _number("window", parts[1])
    if width_ <= 0 or (function == "LINEAR" and width_ < 1):
        raise ValueError("the width of window is 1 or more; above 0 for linear-exact and sigmoid")
    return _number("window", parts[0]), width_, function


def _viewport(text: str) -> Viewport | None:
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 6):
        raise ValueError("viewport is width,height or width,height,left,top,across,down: 512,512")
    width, height = (_whole("viewport", part, 1, MOST_SIDE) for part in parts[:2])
    rest = [_pixels(part) for part in parts[2:]]
    if rest and (rest[0] < 0 or rest[1] < 0):
        raise ValueError("left and top of viewport are 0 or more")
    return Viewport(width, height, *rest)


def _pixels(part: str) -> int:
    number = _number("viewport", part or "0")
    if abs(number) > 1 << 20:
        raise ValueError("a number of viewport is beyond any image")
    return round(number)


def _annotation(text: str) -> tuple[str, ...]:
    names = tuple(name for name in (part.strip().lower() for part in text.split(",")) if name)
    for name in names:
        _one_of("annotation", name, ANNOTATIONS)
    return names


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} has a part that is no number: {text[:20]}")
    return number


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}")
    return int(text)


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text.lower() not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}")
    return text.lower()
