"""Ways out: a Sender takes events in order and returns once they are safe with the other side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from fhir_bridges.events import CloudEvent
from fhir_bridges.settings import Out
from fhir_bridges.webhook import Webhook


class Sender(Protocol):
    """One way out. It connects when it is first used."""

    async def send(self, events: Sequence[tuple[str, CloudEvent]]) -> None:
        """Send events, each with its tenant, in order. Returns when all are confirmed; raises where one is not."""

    async def close(self) -> None:
        """Let go of the connection."""


class Unavailable(Exception):
    """A package is missing; the message has the command that installs it."""


PACKAGES: Final = {"kafka": "confluent_kafka", "mqtt": "aiomqtt", "nats": "nats"}


def missing(kind: str) -> str:
    """Return the command that installs what a kind of bridge needs; empty where it is there."""
    from importlib.util import find_spec

    package = PACKAGES.get(kind)
    return f"pip install 'fhir-server[{kind}]'" if package is not None and find_spec(package) is None else ""


def sender_of(bridge: Out) -> Sender:
    """Return the sender of a bridge. Raises Unavailable."""
    remedy = missing(bridge.kind)
    if remedy:
        raise Unavailable(f"bridge {bridge.name} needs a package: {remedy}")
    return _MAKERS[bridge.kind](bridge)


def _kafka(bridge: Out) -> Sender:
    from fhir_bridges.kafka import KafkaOut

    return KafkaOut(bridge)


def _mqtt(bridge: Out) -> Sender:
    from fhir_bridges.mqtt import MqttOut

    return MqttOut(bridge)


def _nats(bridge: Out) -> Sender:
    from fhir_bridges.jetstream import NatsOut

    return NatsOut(bridge)


_MAKERS: Final[Mapping[str, Callable[[Out], Sender]]] = {
    "webhook": Webhook, "kafka": _kafka, "mqtt": _mqtt, "nats": _nats,
}  # fmt: skip
