"""NATS JetStream: events out with ids by which the server drops repetitions, messages in by a durable consumer.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md,
https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NoStreamResponseError

from fhir_bridges.events import STRUCTURED, CloudEvent
from fhir_bridges.incoming import Incoming
from fhir_bridges.settings import In, Out

_BATCH: Final = 100
_WAIT: Final = 30.0
_ACK_WAIT: Final = 300.0


async def _connected(bridge: In | Out) -> Client:
    options: dict[str, Any] = {"connect_timeout": bridge.timeout, "max_reconnect_attempts": -1, "error_cb": _ignored}
    if bridge.user:
        options |= {"user": bridge.user, "password": bridge.password.get_secret_value()}
    if bridge.url.startswith("tls://"):
        options["tls"] = ssl.create_default_context(cafile=bridge.ca or None)
    return await asyncio.wait_for(nats.connect(bridge.url, allow_reconnect=False, **options), bridge.timeout)


async def _ignored(error: Exception) -> None:
    """What fails is told to whoever waits for it."""


class NatsOut:
    """Publishes events; the subject is that of the bridge with `.tenant.Type` after it."""

    def __init__(self, bridge: Out) -> None:
        self._bridge = bridge
        self._client: Client | None = None
        self._turn = asyncio.Lock()

    async def send(self, events: Sequence[tuple[str, CloudEvent]]) -> None:
        """Send events. Raises nats.errors.Error, OSError, TimeoutError."""
        async with self._turn:
            if self._client is None or not self._client.is_connected:
                self._client = await _connected(self._bridge)
        stream = self._client.jetstream(timeout=self._bridge.timeout)
        try:
            await asyncio.gather(*(self._publish(stream, tenant, event) for tenant, event in events))
        except NoStreamResponseError:
            raise LookupError(f"no stream of the server has the subject {self._bridge.topic}.>") from None
        except Exception:
            await self.close()
            raise

    async def _publish(self, stream: Any, tenant: str, event: CloudEvent) -> None:
        headers = {"Nats-Msg-Id": f"{tenant}:{event.id}"}
        if self._bridge.mode == "structured":
            body = event.structured()
            headers["content-type"] = f"{STRUCTURED}; charset=utf-8"
        else:
            body = event.data
            headers |= event.headers("ce-")
            if body:
                headers["content-type"] = event.attributes["datacontenttype"]
        type_ = event.attributes["subject"].partition("/")[0]
        await stream.publish(f"{self._bridge.topic}.{tenant}.{type_}", body, headers=headers)

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is gone either way
                await client.close()


class NatsIn:
    """Messages of a subject; each is acknowledged after it is written."""

    prefix = "ce-"

    def __init__(self, bridge: In) -> None:
        self._bridge = bridge

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield messages. Raises nats.errors.Error, OSError."""
        client = await _connected(self._bridge)
        try:
            config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=_ACK_WAIT)
            pulled = await client.jetstream(timeout=self._bridge.timeout).pull_subscribe(
                self._bridge.topic, durable=self._bridge.group, stream=self._bridge.stream or None, config=config
            )
            while True:
                try:
                    found = await pulled.fetch(_BATCH, timeout=_WAIT)
                except NatsTimeout:
                    if not client.is_connected:
                        raise ConnectionError("the server went away") from None
                    continue
                for message in found:
                    yield _incoming(message)
                    await message.ack_sync()
        finally:
            with suppress(Exception):  # it is gone either way
                await client.close()


def _incoming(message: Any) -> Incoming:
    headers = {name.lower(): value for name, value in (message.headers or {}).items()}
    place = message.metadata
    return Incoming(f"{place.stream}/{place.sequence.stream}", message.data, headers, message.subject)
