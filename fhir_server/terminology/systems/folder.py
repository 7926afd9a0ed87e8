"""The held code systems of folders: a new file is noticed within a second or two, by every worker."""

import logging
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock

from fhir_server.terminology.code_system import CodeSystem, Json
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.implicit import value_set, whole
from fhir_server.terminology.systems.layout import SUFFIX
from fhir_server.terminology.systems.store import Store, Unusable

logger = logging.getLogger(__name__)
_LOOK_EVERY = 1.0
_BETWEEN = re.compile(r"([0-9]+)")

Stamp = tuple[int, int]


class HeldSystems:
    """Finds the systems of some folders, which need not be there yet."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._lock = Lock()
        self._looked = float("-inf")
        self._generation = 0
        self._open: dict[Path, tuple[Stamp, Held | None]] = {}
        self._urls: dict[str, list[Held]] = {}

    @property
    def generation(self) -> int:
        """Return a number that rises with each change of the folders."""
        self._current()
        return self._generation

    def find(self, url: str, version: str = "", /) -> CodeSystem | None:
        """Return a system; of several versions, where none is named, the latest.

        An edition of SNOMED CT (`http://snomed.info/sct/900000000000207008`) stands for its latest version.
        """
        for held in self._current().get(url, ()):
            own = held.header.version
            if not version or own == version or own.startswith(f"{version}/version/"):
                return held
        return None

    def versions(self, url: str, /) -> Sequence[str]:
        """Return the versions of a system, the latest first."""
        return [held.header.version for held in self._current().get(url, ())]

    def urls(self) -> Iterable[str]:
        """Return the URL of every system."""
        return list(self._current())

    def value_set(self, url: str, /) -> Json | None:
        """Return an implicit value set of SNOMED CT or LOINC, or that of all codes of a system, if it is here."""
        found = value_set(url, self.find)
        if found is None:
            systems = (held.header for held_of_url in self._current().values() for held in held_of_url[:1])
            found = next((whole(header) for header in systems if url and header.value_set == url), None)
        return found

    def files(self) -> dict[Path, Held]:
        """Return the systems by their files."""
        self._current()
        return {path: held for path, (_, held) in self._open.items() if held is not None}

    def _current(self) -> dict[str, list[Held]]:
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            with self._lock:
                self._look()
        return self._urls

    def _look(self) -> None:
        """Compare the files with those that are open. Each file is stamped, as one may replace another at once."""
        found: dict[Path, Stamp] = {}
        for path in (path for folder in self._folders for path in folder.glob(f"*{SUFFIX}")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found[path] = (status.st_ino, status.st_mtime_ns)
        before = {path: stamp for path, (stamp, _) in self._open.items()}
        if found != before:
            kept = {path: one for path, one in self._open.items() if found.get(path) == one[0]}
            fresh = {path: (stamp, _opened(path)) for path, stamp in found.items() if path not in kept}
            self._open = kept | fresh
            self._generation += 1
            self._urls = _by_url(held for _, held in self._open.values() if held is not None)
        self._looked = time.monotonic()


def _opened(path: Path) -> Held | None:
    try:
        return Held(Store(path))
    except (Unusable, OSError) as error:
        logger.error("code system left out: %s", error)
        return None


def _by_url(systems: Iterable[Held]) -> dict[str, list[Held]]:
    urls: dict[str, list[Held]] = {}
    for held in sorted(systems, key=lambda held: _age(held.header.version), reverse=True):
        known = urls.setdefault(held.header.url, [])
        if all(other.header.version != held.header.version for other in known):
            known.append(held)
    return urls


def _age(version: str) -> list[tuple[int, str]]:
    """Order versions so that numbers in them count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _BETWEEN.split(version) if part]
