"""Kafka: events out by an idempotent producer, messages in by a consumer group.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, Producer

from fhir_bridges.events import STRUCTURED, CloudEvent
from fhir_bridges.incoming import Incoming
from fhir_bridges.settings import In, Out

Headers = list[tuple[str, str | bytes | None]]
_POLL: Final = 1.0
_BATCH: Final = 100
_log = logging.getLogger("fhir_bridges.kafka")


def _common(bridge: In | Out) -> dict[str, Any]:
    """Return what librdkafka is told of the brokers."""
    found: dict[str, Any] = {"bootstrap.servers": bridge.url}
    if bridge.user:
        secure = "SASL_SSL" if bridge.ca else "SASL_PLAINTEXT"
        found |= {
            "security.protocol": secure,
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": bridge.user,
            "sasl.password": bridge.password.get_secret_value(),
        }
    if bridge.ca:
        found |= {"ssl.ca.location": bridge.ca, **({} if bridge.user else {"security.protocol": "SSL"})}
    return {**found, **bridge.options}


class KafkaOut:
    """Produces events; the key is the resource, so all of one resource fall to one partition, in order."""

    def __init__(self, bridge: Out) -> None:
        self._bridge = bridge
        self._producer: Producer | None = None

    async def send(self, events: Sequence[tuple[str, CloudEvent]]) -> None:
        """Send events. Raises KafkaException."""
        await asyncio.to_thread(self._send, events)

    def _send(self, events: Sequence[tuple[str, CloudEvent]]) -> None:
        if self._producer is None:
            wait = round(self._bridge.timeout * 1_000)
            own = {"enable.idempotence": True, "acks": "all", "delivery.timeout.ms": wait, "linger.ms": 1}
            self._producer = Producer({**own, **_common(self._bridge)}, logger=_log)
        failed: list[Any] = []

        def delivered(error: Any, message: Message) -> None:
            if error is not None:
                failed.append(error)

        for tenant, event in events:
            value, headers = self._message(event)
            key = f"{tenant}:{event.attributes['subject']}".encode()
            self._producer.produce(self._bridge.topic, value, key, headers=headers, on_delivery=delivered)
        if self._producer.flush(self._bridge.timeout + 1):
            self._producer.purge()
            self._producer.flush(1)
            raise TimeoutError("the brokers did not confirm in time")
        if failed:
            raise KafkaException(failed[0])

    def _message(self, event: CloudEvent) -> tuple[bytes | None, Headers]:
        """Return value and headers; a resource that was deleted leaves a tombstone in the binary form."""
        if self._bridge.mode == "structured":
            return event.structured(), [("content-type", f"{STRUCTURED}; charset=utf-8".encode())]
        headers: Headers = [(name, value.encode()) for name, value in event.headers("ce_").items()]
        if event.data:
            headers.append(("content-type", event.attributes["datacontenttype"].encode()))
        return event.data or None, headers

    async def close(self) -> None:
        """Send what waits."""
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, 5.0)
            self._producer = None


class KafkaIn:
    """Messages of a topic; what was taken is committed after it is written."""

    prefix = "ce_"

    def __init__(self, bridge: In) -> None:
        self._bridge = bridge

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield messages; the next one is asked for when the last one is written. Raises KafkaException."""
        own = {"group.id": self._bridge.group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        consumer = Consumer({**own, **_common(self._bridge)}, logger=_log)
        try:
            consumer.subscribe([self._bridge.topic])
            while True:
                found = await asyncio.to_thread(consumer.consume, _BATCH, _POLL)
                for message in found:
                    if (error := message.error()) is not None:
                        raise KafkaException(error)
                    yield _incoming(message)
                    await asyncio.to_thread(partial(consumer.commit, message=message, asynchronous=False))
        finally:
            await asyncio.to_thread(consumer.close)


def _incoming(message: Any) -> Incoming:
    headers = {
        name.lower(): value.decode("utf-8", "replace") for name, value in message.headers() or () if value is not None
    }
    key = (message.key() or b"").decode("utf-8", "replace")
    place = f"{message.topic()}/{message.partition()}/{message.offset()}"
    return Incoming(place, message.value() or b"", headers, key)
