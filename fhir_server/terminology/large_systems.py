"""Code systems that are large resources: read once for each content, and their words indexed when they are asked for.

Both go by the digest of the resource, so that they outlive whatever else changes in a library, tenants that have the
same share them, and a changed resource is another one, in every process.
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

MAKER: Final = ThreadPoolExecutor(1, "words")
"""Where what was asked for is made again, one at a time."""


@dataclass(slots=True)
class _Held:
    """A system, and its words once somebody asked for them; `making`: one makes them, others wait."""

    system: ResourceSystem
    words: WordIndex | None = None
    making: Lock = field(default_factory=Lock)


class LargeSystems:
    """Those of one process, up to a number of concepts in all; the least used go first. Any thread may call."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._asked: set[str] = set()
        self._reading = Lock()
        self._lock = Lock()

    def read(self, data: bytes, parse: Callable[[], Json]) -> ResourceSystem:
        """Return the system of a resource; one that is being read is waited for."""
        digest = hashlib.sha256(data).hexdigest()
        with self._reading:
            held = self._find(digest)
            if held is None:
                held = self._keep(digest, _Held(ResourceSystem(parse(), data, self.words)))
            return held.system

    def words(self, system: ResourceSystem) -> WordIndex:
        """Return the index of a system's words."""
        held = self._find(system.stamp) or self._keep(system.stamp, _Held(system))
        self._asked.add(system.header.url)
        with held.making:
            if held.words is None:
                held.words = WordIndex(system.concepts())
            return held.words

    def renew(self, entries: Iterable[Entry]) -> None:
        """Make anew, in a thread, what was asked for of systems of which there is another content now, so that nobody
        waits for it."""
        wanted = [each for each in entries if len(each.data) >= LARGE and each.url in self._asked]
        if wanted:
            MAKER.submit(self._make, wanted)

    def _make(self, entries: Iterable[Entry]) -> None:
        for each in entries:
            self.words(self.read(each.data, each.parse))

    def _find(self, digest: str) -> _Held | None:
        with self._lock:
            held = self._held.get(digest)
            if held is not None:
                self._held.move_to_end(digest)
            return held

    def _keep(self, digest: str, held: _Held) -> _Held:
        with self._lock:
            held = self._held.setdefault(digest, held)
            while len(self._held) > 1 and sum(each.system.size for each in self._held.values()) > self._most:
                self._held.popitem(last=False)
            return held
