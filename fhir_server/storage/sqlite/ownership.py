"""Who owns a data folder: one process at a time, which runs what must run once and whom commands speak to."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_LOCK: Final = "owner.lock"
_CARD: Final = "owner.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a data folder: where it serves, where commands reach it, and since when (seconds since
    1970)."""

    pid: int
    address: str
    control: str
    started: float

    def __str__(self) -> str:
        return f"the server at {self.address} (process {self.pid})"


class AlreadyOwned(Exception):
    """Another process owns the data folder."""

    def __init__(self, folder: Path, owner: Owner | None) -> None:
        who = str(owner) if owner else "another process"
        super().__init__(f"{folder} is in use by {who}; stop it, or choose another data folder")
        self.owner = owner


@contextmanager
def own(data_dir: Path, address: str, control: str = "") -> Iterator[Owner]:
    """Own the data folder while the context lasts.

    The lock decides, which the kernel drops when its holder dies, however it dies; the card beside it only says who
    holds it, so one that a killed owner left behind does no harm.

    Raises:
        AlreadyOwned: names the address and process of the owner.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _lock(lock):
            raise AlreadyOwned(data_dir, _read_card(data_dir))
        owner = Owner(os.getpid(), address, control, time.time())
        _write_card(data_dir, owner)
        try:
            yield owner
        finally:
            (data_dir / _CARD).unlink(missing_ok=True)
    finally:
        os.close(lock)


def owner_of(data_dir: Path) -> Owner | None:
    """Return the live owner of a data folder."""
    try:
        lock = os.open(data_dir / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _lock(lock, shared=True) else _wait_for_card(data_dir)
    finally:
        os.close(lock)


def _lock(lock: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_card(data_dir: Path, owner: Owner) -> None:
    draft = data_dir / f"{_CARD}.new"
    draft.write_text(json.dumps(asdict(owner)))
    draft.replace(data_dir / _CARD)


def _read_card(data_dir: Path) -> Owner | None:
    try:
        return Owner(**json.loads((data_dir / _CARD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _wait_for_card(data_dir: Path) -> Owner:
    """Return the card of the owner, who may have taken the lock a moment ago and not written it yet."""
    for _ in range(20):
        card = _read_card(data_dir)
        if card is not None:
            return card
        time.sleep(0.01)
    return Owner(0, "an unknown address", "", 0.0)
