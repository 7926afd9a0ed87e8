"""Newest: of many stored Observations, newest first, those of the newest instant of each code; few are even parsed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from fhir_ai.inputs.times import millis

_CODE: Final = re.compile(rb'"code":"([0-9a-z_]+(?:-[0-9])?)"')
_PARSED: Final = msgspec.json.Decoder(float_hook=Decimal)
_USABLE: Final = frozenset(("final", "amended", "corrected", "preliminary"))
_DAY: Final = 10
"""Characters of a date: longer ones are of one instant."""


class Newest:
    """Takes Observations in the order of their dates, newest first.

    A code is closed once an older value of it has come: the newest is judged, and an older one never stands in for it.

    Args:
        codes: that inputs are recorded under.
        depth: how many instants of each code are kept, for those who compare values.
    """

    def __init__(self, codes: Iterable[str], depth: int = 1) -> None:
        self._open = {code.encode() for code in codes}
        self._depth = depth
        self._times: dict[bytes, list[int]] = {code: [] for code in self._open}
        self._seen: set[int] = set()
        self.found: list[tuple[int, Mapping[str, Any]]] = []

    @property
    def open(self) -> frozenset[str]:
        """Codes of which older values may come that matter."""
        return frozenset(code.decode() for code in self._open)

    def take(self, pid: int, data: bytes) -> None:
        """Look at one, by the number of its version and its bytes as they are stored."""
        if pid in self._seen or self._open.isdisjoint(_CODE.findall(data)):
            return
        self._seen.add(pid)
        observation = _PARSED.decode(data)
        at, exact = when(observation)
        if at is None or observation.get("status") not in _USABLE:
            return
        wanted = False
        for code in self._open.intersection(_coded(observation)):
            times = self._times[code]
            if at in times or len(times) < self._depth or at > times[0]:
                times[:] = sorted({*times, at})[-self._depth :]
                wanted = True
            elif exact:
                self._open.discard(code)
        if wanted:
            self.found.append((at, observation))


def when(observation: Mapping[str, Any]) -> tuple[int | None, bool]:
    """Return the time that an Observation counts from, and whether it is an instant and no whole day or month."""
    period = observation.get("effectivePeriod", {})
    for text in (
        observation.get("effectiveDateTime"), observation.get("effectiveInstant"), period.get("end"),
        period.get("start"),
    ):  # fmt: skip
        if text:
            return millis(text), len(text) > _DAY
    return None, False


def usable(observation: Mapping[str, Any]) -> bool:
    """Tell whether an Observation stands, and was not entered in error, cancelled or only begun."""
    return observation.get("status") in _USABLE


def holders(observation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the Observation and its components, as far as they have a value."""
    for holder in (observation, *observation.get("component", ())):
        if any(key.startswith("value") for key in holder):
            yield holder


def _coded(observation: Mapping[str, Any]) -> Iterator[bytes]:
    for holder in holders(observation):
        for coding in holder.get("code", {}).get("coding", ()):
            yield str(coding.get("code", "")).encode()
