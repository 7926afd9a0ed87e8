"""Board: the numbers of all processes of a node, added up by whichever of them is asked.

Each process writes its numbers to a file beside the data, once a second. Gauges count while their process gives signs
of life; counters count on after its death, and its file is taken over by another process.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from weakref import WeakMethod

from fhir_server.telemetry.instruments import Gauge, Labels
from fhir_server.telemetry.numbers import COUNTERS, GAUGES, HISTOGRAMS

_ALIVE: Final = 15.0
"""Seconds without a sign of life after which the gauges of a process count no more."""

_DEAD: Final = 60.0
"""Seconds after which its counters are taken over, if there is no such process any more."""

_APART: Final = "\x1f"
_SHARED: Final = {each.name: each for each in GAUGES if each.across != "here"}

Sampled = tuple[Gauge, float, Labels]
_samplers: list[WeakMethod[Callable[[], Iterable[Sampled]]]] = []


def sample_by(sampler: Callable[[], Iterable[Sampled]]) -> None:
    """Have gauges read by a method whenever numbers are asked for, for as long as its object lives.

    What several say of one gauge is put together as of several processes.
    """
    _samplers.append(WeakMethod(sampler))


def _sampled() -> dict[str, dict[Labels, float]]:
    """Return what all samplers say; one that cannot say anything now is left out."""
    found: dict[str, dict[Labels, float]] = {}
    for reference in tuple(_samplers):
        sampler = reference()
        if sampler is None:
            _samplers.remove(reference)
            continue
        with suppress(OSError, RuntimeError):
            for gauge, value, labels in sampler():
                there = found.setdefault(gauge.name, {})
                there[labels] = _together(gauge.across, there[labels], value) if labels in there else value
    return found


class Numbers:
    """Values of all instruments, of one process or of several."""

    def __init__(self) -> None:
        self.counters: dict[str, dict[str, float]] = {}
        self.histograms: dict[str, dict[str, list[float]]] = {}
        self.gauges: dict[str, dict[str, float]] = {}

    @classmethod
    def here(cls) -> "Numbers":
        """Return those of this process, as they are now."""
        found = cls()
        found.counters = {each.name: _joined(each.values) for each in COUNTERS if each.values}
        found.histograms = {
            each.name: {key: list(row) for key, row in _joined(each.values).items()}
            for each in HISTOGRAMS
            if each.values
        }
        gauges = {each.name: each.values for each in GAUGES if each.values} | _sampled()
        found.gauges = {name: _joined(values) for name, values in gauges.items()}
        return found

    def add(self, other: Mapping[str, Any], *, gauges: bool) -> None:
        """Add those of another process, as its file has them; `gauges`: it is alive."""
        for name, values in other["counters"].items():
            mine = self.counters.setdefault(name, {})
            for key, value in values.items():
                mine[key] = mine.get(key, 0) + value
        for name, rows in other["histograms"].items():
            here = self.histograms.setdefault(name, {})
            for key, row in rows.items():
                if key not in here or len(here[key]) == len(row):  # a release may have had other buckets
                    here[key] = [one + more for one, more in zip(here.get(key, [0.0] * len(row)), row, strict=True)]
        for name, values in other["gauges"].items() if gauges else ():
            if name in _SHARED:
                there = self.gauges.setdefault(name, {})
                for key, value in values.items():
                    there[key] = _together(_SHARED[name].across, there[key], value) if key in there else value


def _together(across: str, one: float, other: float) -> float:
    return one + other if across == "sum" else min(one, other) if across == "min" else max(one, other)


def _joined(values: Mapping[Labels, Any]) -> dict[str, Any]:
    return {_APART.join(labels): value for labels, value in tuple(values.items())}


def labels_of(key: str) -> list[str]:
    """Return the label values of a key of `Numbers`."""
    return key.split(_APART)


class Board:
    """What is shown: `folder` is where the files of all processes lie, None where there is one process."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._name, self._pid = folder, token_hex(4), os.getpid()
        self._taken = Numbers()

    def total(self) -> Numbers:
        """Return what all processes come to."""
        total = Numbers.here()
        total.add(vars(self._taken), gauges=False)
        if self._folder is not None and self._folder.exists():
            with self._locked(fcntl.LOCK_SH):
                for path in self._others():
                    fresh = time.time() - _changed(path) < _ALIVE
                    with suppress(OSError, ValueError, KeyError):
                        total.add(json.loads(path.read_text()), gauges=fresh)
        return total

    def save(self) -> None:
        """Write the numbers of this process for the others, and take over those of the dead."""
        if self._folder is None:
            return
        self._folder.mkdir(exist_ok=True, mode=0o700, parents=True)
        dead = [path for path in self._others() if time.time() - _changed(path) > _DEAD and not _lives(path)]
        with self._locked(fcntl.LOCK_EX if dead else fcntl.LOCK_SH):
            for path in dead:
                with suppress(OSError, ValueError, KeyError):
                    found = json.loads(path.read_text())
                    path.unlink()
                    self._taken.add(found, gauges=False)
            numbers = Numbers.here()
            numbers.add(vars(self._taken), gauges=False)
            path = self._path()
            path.with_suffix(".new").write_text(json.dumps(vars(numbers)))
            path.with_suffix(".new").rename(path)

    def withdraw(self) -> None:
        """Take the file away: another board of this process tells of it from now on."""
        if self._folder is not None:
            self._path().unlink(missing_ok=True)

    def _path(self) -> Path:
        assert self._folder is not None
        if self._pid != os.getpid():  # a fork has a file of its own
            self._pid, self._name, self._taken = os.getpid(), token_hex(4), Numbers()
        return self._folder / f"{self._pid}-{self._name}.json"

    def _others(self) -> list[Path]:
        assert self._folder is not None
        mine = self._path()
        return [path for path in self._folder.glob("*.json") if path != mine]

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        assert self._folder is not None
        number = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, how)
            yield
        finally:
            os.close(number)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _lives(path: Path) -> bool:
    """Tell whether there is a process of the number that a file is called after."""
    number = path.stem.partition("-")[0]
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


def reset() -> None:
    """Begin anew at nothing: a fork has counted nothing yet."""
    for counter in COUNTERS:
        counter.values = {}
    for gauge in GAUGES:
        gauge.values = {}
    for histogram in HISTOGRAMS:
        histogram.values = {}


os.register_at_fork(after_in_child=reset)
