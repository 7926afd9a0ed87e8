"""Code systems that are large resources: read once for each content, and their words indexed when they are asked for.

Both go by the digest of the resource, so that they outlive whatever else changes in a library, tenants that have the
same share them, and a changed resource is another one, in every process. What a tenant stores is read in a thread as
soon as it is there, for whoever checks a code waits for it, and with them all others.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from fhir_server.packages import Entry
from fhir_server.terminology.code_system import Json
from fhir_server.terminology.resource_system import ResourceSystem
from fhir_server.terminology.word_index import WordIndex

LARGE: Final = 200_000
"""Bytes of a resource from which on it is one of these: some thousand concepts."""

MAKER: Final = ThreadPoolExecutor(1, "large-systems")
"""Where they are read before anybody asks, one at a time."""

_BYTES: Final = 60
"""Of a concept, at least."""


@dataclass(slots=True)
class _Held:
    """A system once it is read, and its words once somebody asked for them; others wait for who makes them."""

    system: ResourceSystem | None = None
    words: WordIndex | None = None
    reading: Lock = field(default_factory=Lock)
    indexing: Lock = field(default_factory=Lock)

    @property
    def size(self) -> int:
        """How many concepts it has, as far as it is read."""
        return self.system.size if self.system is not None else 0


class LargeSystems:
    """Those of one process, up to a number of concepts in all; the least used go first. Any thread may call."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._asked: set[str] = set()
        self._lock = Lock()

    def read(self, data: bytes, parse: Callable[[], Json]) -> ResourceSystem:
        """Return the system of a resource."""
        digest = hashlib.sha256(data).hexdigest()
        held = self._of(digest)
        with held.reading:
            if held.system is None:
                held.system = ResourceSystem(parse(), data, self.words)
                self._replace(digest, held.system)
                self._make_room()
            return held.system

    def _replace(self, digest: str, system: ResourceSystem) -> None:
        """Let go of what a system was before; another tenant that has that still, goes on with what it got."""
        with self._lock:
            for other, held in list(self._held.items()):
                if other != digest and held.system is not None and _is_same(held.system, system):
                    del self._held[other]

    def words(self, system: ResourceSystem) -> WordIndex:
        """Return the index of a system's words."""
        self._asked.add(system.header.url)
        held = self._of(system.stamp, system)
        with held.indexing:
            if held.words is None:
                held.words = WordIndex(system.concepts())
            return held.words

    def prepare(self, entries: Iterable[Entry]) -> None:
        """Read what is large of a library, as far as there is room, in a thread; with its words, where those of the
        same system were asked for before."""
        wanted = [each for each in entries if len(each.data) >= LARGE]
        if wanted:
            MAKER.submit(self._make, wanted)

    def _make(self, entries: Iterable[Entry]) -> None:
        for each in entries:
            if each.url in self._asked:
                self.words(self.read(each.data, each.parse))
            elif self._has_room(len(each.data) // _BYTES):
                self.read(each.data, each.parse)

    def _has_room(self, concepts: int) -> bool:
        with self._lock:
            return sum(each.size for each in self._held.values()) + concepts <= self._most

    def _of(self, digest: str, system: ResourceSystem | None = None) -> _Held:
        with self._lock:
            held = self._held.setdefault(digest, _Held(system))
            self._held.move_to_end(digest)
        if system is not None:
            self._make_room()
        return held

    def _make_room(self) -> None:
        with self._lock:
            while len(self._held) > 1 and sum(each.size for each in self._held.values()) > self._most:
                self._held.popitem(last=False)


def _is_same(one: ResourceSystem, other: ResourceSystem) -> bool:
    return (one.header.url, one.header.version) == (other.header.url, other.header.version)
