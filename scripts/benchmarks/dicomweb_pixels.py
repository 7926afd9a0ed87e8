"""Rows of pixels of the DICOMweb benchmark: rendering and transcoding of one CT slice, 512x512x16."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Protocol

_TARGETS = {
    "JPEG lossless": ("1.2.840.10008.1.2.4.70", True),
    "JPEG 2000 lossless": ("1.2.840.10008.1.2.4.90", True),
    "RLE": ("1.2.840.10008.1.2.5", True),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", False),  # Orthanc has none
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", False),  # Debian's Orthanc dies of it
}
_VIEWS = {
    "rendered PNG": ("/rendered", "image/png"),
    "rendered, window and viewport, quality 80": (
        "/rendered?window=40,400,linear&viewport=256,256&quality=80",
        "image/jpeg",
    ),
}


class Asks(Protocol):
    """A connection to a server."""

    def get(self, path: str, accept: str = ..., **headers: str) -> bytes: ...


def rows(servers: Mapping[str, Asks], instance: str, show: Callable[[str, dict[str, float], str], None]) -> None:
    """Time each request, in turns, and show the medians in milliseconds."""
    for what, (path, accept) in _VIEWS.items():
        show(f"{what}, ms", _medians(servers, f"{instance}{path}", accept), "{:.2f}")
    own = {name: each for name, each in servers.items() if name == "ours"}
    show("thumbnail, ms", _medians(own, f"{instance}/thumbnail", "image/jpeg"), "{:.2f}")  # Debian's Orthanc has none
    for what, (syntax, both) in _TARGETS.items():
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
        show(
            f"transcoded to {what}, ms",
            _medians(_who_can(servers, instance, accept) if both else own, instance, accept),
            "{:.2f}",
        )


def _who_can(servers: Mapping[str, Asks], path: str, accept: str) -> Mapping[str, Asks]:
    """Leave out a server that cannot do this; ours always can."""
    able = {}
    for name, client in servers.items():
        try:
            client.get(path, accept)
            able[name] = client
        except SystemExit:
            if name == "ours":
                raise
    return able


def _medians(servers: Mapping[str, Asks], path: str, accept: str, times: int = 25) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(times):
        for name, client in servers.items():
            begun = time.perf_counter()
            client.get(path, accept)
            found[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) * 1000 for name, each in found.items()}
