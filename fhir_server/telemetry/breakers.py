"""Circuit breakers in numbers: how they stand, how often they opened, what they refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from fhir_server.telemetry.numbers import BREAKER_STATE, OPENED, STORE_FAILED, STORE_REFUSED
from fhir_server.telemetry.sharing import Sampled, sample_by

_STATES: Mapping[str, float] = {"closed": 0, "half-open": 1, "open": 2}


class Breaker(Protocol):
    """What is told of one: see fhir_server/resilience.py."""

    name: str

    @property
    def state(self) -> str:
        """`closed`, `half-open` or `open`."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How often it `opened`, how many calls it `refused`, how many `failed`."""


@runtime_checkable
class HasBreakers(Protocol):
    """What has breakers: a provider of stores across the network."""

    def breakers(self) -> Sequence[Breaker]:
        """Return them, as they are now."""


class BreakerNumbers:
    """Tells of breakers until it is closed."""

    def __init__(self, breakers: Callable[[], Sequence[Breaker]]) -> None:
        self._breakers = breakers
        sample_by(self._sampled)

    def close(self) -> None:
        """Tell nothing more."""
        self._breakers = list

    def _sampled(self) -> Iterator[Sampled]:
        for each in self._breakers():
            at = (each.name,)
            OPENED.values[at] = each.counts["opened"]
            STORE_REFUSED.values[at] = each.counts["refused"]
            STORE_FAILED.values[at] = each.counts["failed"]
            yield BREAKER_STATE, _STATES.get(each.state, 1), at
