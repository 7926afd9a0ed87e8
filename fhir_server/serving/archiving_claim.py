"""Who keeps an archive: one process at a time, which says so in `alive.json` there, again and again."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.durable import make_folder, renew

ALIVE: Final = "alive.json"
_SETTLED: Final = 1.0  # seconds in which a claim of an archive shows to whoever claims it too
_ROUNDS: Final = 10  # after so many rounds without a word the archive is nobody's
_CLOCKS: Final = 3_600.0  # seconds by which the clocks of two machines may differ


class Claim:
    """That of one process, `me`, which does a round every so many seconds."""

    def __init__(self, archive: Path, me: str, every: float) -> None:
        self._archive, self._me, self._every = archive, me, every
        self._mine = False
        self._draft = secrets.token_hex(4)  # others may write the same file at the same moment

    def take(self) -> None:
        """Be the one who keeps the archive. Raises OSError: another one does, or it cannot be written."""
        make_folder(self._archive)
        self._need_free()
        if not self._mine:  # of two that begin at the same moment, the one that wrote last keeps it
            self.tell({})
            time.sleep(min(_SETTLED, self._every))
            self._need_free()
            self._mine = True

    def tell(self, state: Mapping[str, Any]) -> None:
        """Say that it is kept, and how it is. Raises OSError."""
        self._write({**state, "by": self._me, "at": time.time(), "every": self._every})

    def release(self) -> None:
        """Let others keep it at once. Raises OSError."""
        if self._mine and alive(self._archive).get("by") == self._me:
            self._write({"by": ""})
        self._mine = False

    def _write(self, said: Mapping[str, Any]) -> None:
        text = json.dumps({**alive(self._archive), **said})
        renew(self._archive / ALIVE, text.encode(), self._draft)

    def _need_free(self) -> None:
        said = alive(self._archive)
        other = said.get("by") or self._me
        if other != self._me and time.time() - float(said.get("at", 0)) < _ROUNDS * self._every:
            self._mine = False
            raise OSError(f"another server keeps the archive {self._archive}: {other}")


def alive(archive: Path) -> dict[str, Any]:
    """Return what whoever keeps an archive says of it; nothing where nobody does."""
    try:
        found: dict[str, Any] = json.loads((archive / ALIVE).read_text())
    except (OSError, ValueError):
        return {}
    return found


def complete_until(archive: Path) -> float:
    """Return until when an archive says that it is complete, in seconds since 1970; 0 where it does not say."""
    return float(alive(archive).get("complete_until", 0.0))


@contextmanager
def held(archive: Path, me: str, every: float) -> Iterator[None]:
    """Keep servers from an archive while the context lasts.

    Raises:
        BackupRefused: a server keeps it, on this machine or another.
        OSError: it cannot be written.
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


def _need_idle(archive: Path, every: float) -> None:
    """See that nobody keeps it, by whichever clock. Raises BackupRefused."""
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
