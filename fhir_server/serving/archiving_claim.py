"""Who keeps an archive: one process at a time, which says so in `alive.json` there, again and again."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any, Final

from fhir_server.serving.archiving_identity import Identity
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive.places.place import Spot, Taken

ALIVE: Final = "alive.json"
_SETTLED: Final = 1.0  # seconds in which a claim of an archive shows to whoever claims it too
_ROUNDS: Final = 10  # after so many rounds without a word the archive is nobody's
_CLOCKS: Final = 3_600.0  # seconds by which the clocks of two machines may differ


class Claim:
    """That of one process, `me`, which does a round every so many seconds; with an identity, on the archive that its
    data folder has always had."""

    def __init__(self, archive: Spot, me: str, every: float, identity: Identity | None = None) -> None:
        self._archive, self._me, self._every, self._identity = archive, me, every, identity
        self._mine = False
        self._id = ""
        self.begun = 0
        """How often it was taken anew: what was known of the archive may not be so any more."""
        self._said: Mapping[str, Any] = {}
        self._mark = ""

    def take(self) -> None:
        """Be the one who keeps the archive. Raises OSError: another one does, it is not what it was, or it cannot be
        written."""
        self._look()
        self._need_free()
        if self._mine and self._said.get("id", "") == self._id:
            return
        self._mine = False  # or it was, and what is there now is something else
        self._need_silent()
        self._id = self._identity.of(self._said) if self._identity else str(self._said.get("id", ""))
        self._archive.place.begin()
        self._write({"id": self._id} if self._id else {})
        time.sleep(min(_SETTLED, self._every))  # of two that begin at the same moment, the one that wrote last keeps it
        self._look()
        self._need_free()
        if self._identity:
            self._identity.remember(self._id)
        self._mine = True
        self.begun += 1

    def tell(self, state: Mapping[str, Any]) -> None:
        """Say that it is kept, and how it is. Raises OSError: it is another's by now, or cannot be written."""
        self._write(state)

    def release(self) -> None:
        """Let others keep it at once. Raises OSError."""
        if self._mine:
            self._look()
            if self._said.get("by") == self._me:
                self._put({**self._said, "by": ""})
        self._mine = False

    def _look(self) -> None:
        self._said, self._mark = _read(self._archive)

    def _write(self, said: Mapping[str, Any]) -> None:
        mine = {**said, "by": self._me, "at": time.time(), "every": self._every}
        try:
            self._put({**self._said, **mine})
        except Taken:  # by another, or by us: an answer was lost
            self._look()
            self._need_free()
            self._put({**self._said, **mine})

    def _put(self, said: Mapping[str, Any]) -> None:
        spot = self._archive / ALIVE
        self._mark = spot.place.put_if(spot.at, json.dumps(said).encode(), self._mark, lasting=False)
        self._said = said

    def _need_free(self) -> None:
        if self._others() and abs(self._age()) < _ROUNDS * self._rhythm():
            self._refuse()

    def _need_silent(self) -> None:
        """See that another who seems to be gone is not there still, by a clock that is not ours."""
        if self._others() and abs(self._age()) < _CLOCKS:
            before = self._mark
            time.sleep(2.5 * self._rhythm())
            self._look()
            if self._mark != before:
                self._refuse()

    def _refuse(self) -> None:
        self._mine = False
        raise OSError(f"another server keeps the archive {self._archive}: {self._said.get('by')}")

    def _others(self) -> bool:
        return (self._said.get("by") or self._me) != self._me

    def _age(self) -> float:
        return time.time() - float(self._said.get("at", 0))

    def _rhythm(self) -> float:
        return max(self._every, float(self._said.get("every", 0)))


def alive(archive: Spot) -> Mapping[str, Any]:
    """Return what whoever keeps an archive says of it; nothing where nobody does. Raises OSError."""
    return _read(archive)[0]


def _read(archive: Spot) -> tuple[Mapping[str, Any], str]:
    spot = archive / ALIVE
    try:
        data, mark = spot.place.marked(spot.at)
    except FileNotFoundError:
        return {}, ""
    try:
        found = json.loads(data)
    except ValueError:  # cut short when the power failed
        return {}, mark
    return (found if isinstance(found, dict) else {}), mark


def renewed(archive: Spot) -> None:
    """Say no more of an archive than which it is. Raises OSError."""
    said, mark = _read(archive)
    spot = archive / ALIVE
    spot.place.put_if(spot.at, json.dumps({"id": said["id"]} if "id" in said else {}).encode(), mark)


def complete_until(archive: Spot) -> float:
    """Return until when an archive says that it is complete, in seconds since 1970; 0 where it does not say. Raises
    OSError."""
    return float(alive(archive).get("complete_until", 0.0))


@contextmanager
def held(archive: Spot, me: str, every: float) -> Iterator[None]:
    """Keep servers from an archive while the context lasts.

    Raises:
        BackupRefused: a server keeps it, on this machine or another.
        OSError: it cannot be read or written.
    """
    _need_idle(archive, every)
    claim, done = Claim(archive, me, every), Event()

    def beat() -> None:
        while not done.wait(every):
            with suppress(OSError):
                claim.tell({})

    try:
        claim.take()
    except OSError as error:
        raise BackupRefused(str(error)) from None
    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(_SETTLED)
        claim.release()


def _need_idle(archive: Spot, every: float) -> None:
    """See that nobody keeps it, by whichever clock. Raises BackupRefused, OSError."""
    said = alive(archive)
    every = max(every, float(said.get("every", 0)))
    age = abs(time.time() - float(said.get("at", 0)))
    if not said.get("by") or age > max(_CLOCKS, _ROUNDS * every):
        return
    if age > _ROUNDS * every:  # perhaps it lives, and its clock is another
        time.sleep(2.5 * every)
    if age < _ROUNDS * every or alive(archive).get("at") != said.get("at"):
        waits = f"stop it and wait {_ROUNDS * every:.0f} s"
        raise BackupRefused(f"{said['by']} keeps {archive}, or did {age:.0f} s ago: {waits}")
