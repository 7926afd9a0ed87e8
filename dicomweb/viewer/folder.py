"""Folder: OHIF's files on disk, as `install` put them there."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dicomweb.viewer.install import LISTED

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webapp": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the viewer. packed: its bytes are gzip. lasting: its name changes with its content."""

    content: bytes
    media_type: str
    packed: bool
    lasting: bool


def place_of(folder: str) -> Path:
    """Return where the viewer is looked for."""
    return Path(folder) if folder else Path.home() / ".local" / "share" / "fhir-server" / "viewer"


@lru_cache(maxsize=4)
def files_of(place: Path) -> frozenset[str]:
    """Return the names of its files; none where it is not installed. Kept for as long as the process runs."""
    try:
        return frozenset(json.loads((place / LISTED).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError):
        return frozenset()


def file_of(place: Path, name: str, *, packed: bool) -> File | None:
    """Return a file, None where the viewer has none such."""
    if name not in files_of(place):
        return None
    path = place / name
    small = path.with_name(f"{path.name}.gz")
    chosen = small if packed and small.exists() else path
    try:
        content = chosen.read_bytes()
    except OSError:
        return None
    media_type = _TYPES.get(path.suffix, "application/octet-stream")
    return File(content, media_type, chosen is small, _is_hashed(path.name))


def _is_hashed(name: str) -> bool:
    return any(len(part) >= 16 and all(c in "0123456789abcdef" for c in part) for part in name.split("."))
