"""MQTT 5: events out at QoS 1, messages in from a session that the broker keeps.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/mqtt-protocol-binding.md
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fhir_bridges.events import STRUCTURED, CloudEvent
from fhir_bridges.incoming import Incoming
from fhir_bridges.settings import In, Out

_KEPT: Final = 7 * 86_400
"""Seconds for which the broker keeps what comes for us while we are away."""

_log = logging.getLogger("fhir_bridges.mqtt")


def _client(bridge: In | Out, **more: Any) -> aiomqtt.Client:
    url = urlsplit(bridge.url)
    secure = url.scheme == "mqtts"
    return aiomqtt.Client(
        url.hostname or "",
        url.port or (8883 if secure else 1883),
        username=bridge.user or None,
        password=bridge.password.get_secret_value() or None,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=ssl.create_default_context(cafile=bridge.ca or None) if secure else None,
        timeout=bridge.timeout,
        logger=_log,
        **more,
    )


class MqttOut:
    """Publishes events; the topic is that of the bridge with `/tenant/Type/id` after it."""

    def __init__(self, bridge: Out) -> None:
        self._bridge = bridge
        self._stack: AsyncExitStack | None = None
        self._connected: aiomqtt.Client | None = None
        self._turn = asyncio.Lock()

    async def send(self, events: Sequence[tuple[str, CloudEvent]]) -> None:
        """Send events. Raises aiomqtt.MqttError."""
        async with self._turn:
            client = await self._open()
        try:
            await asyncio.gather(*(self._publish(client, tenant, event) for tenant, event in events))
        except aiomqtt.MqttError:
            await self.close()
            raise

    async def _open(self) -> aiomqtt.Client:
        if self._connected is None:
            stack = AsyncExitStack()
            self._connected = await stack.enter_async_context(_client(self._bridge))
            self._stack = stack
        return self._connected

    async def _publish(self, client: aiomqtt.Client, tenant: str, event: CloudEvent) -> None:
        properties = _properties(PacketTypes.PUBLISH)
        if self._bridge.mode == "structured":
            properties.ContentType = f"{STRUCTURED}; charset=utf-8"
            body = event.structured()
        else:
            body = event.data
            if body:
                properties.ContentType = event.attributes["datacontenttype"]
            named = ((name, value) for name, value in event.attributes.items() if name != "datacontenttype")
            properties.UserProperty = list(named)
        topic = f"{self._bridge.topic}/{tenant}/{event.attributes['subject']}"
        await client.publish(topic, body, qos=1, properties=properties)

    async def close(self) -> None:
        """Disconnect."""
        stack, self._stack, self._connected = self._stack, None, None
        if stack is not None:
            try:
                await stack.aclose()
            except aiomqtt.MqttError:
                _log.info("the connection of bridge %s was gone", self._bridge.name)


class MqttIn:
    """Messages of a topic filter; each is acknowledged after it is written."""

    prefix = ""

    def __init__(self, bridge: In) -> None:
        self._bridge = bridge

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield messages. Raises aiomqtt.MqttError."""
        kept = _properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = _KEPT
        client = _client(self._bridge, identifier=self._bridge.group, clean_start=False, properties=kept)
        inner: Any = client._client  # aiomqtt has no manual acknowledgement yet; paho, which it drives, does
        inner.manual_ack_set(True)
        async with client:
            await client.subscribe(self._bridge.topic, qos=1)
            async for message in client.messages:
                yield _incoming(message)
                inner.ack(message.mid, message.qos)


def _properties(packet: int) -> Any:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _incoming(message: aiomqtt.Message) -> Incoming:
    payload = message.payload
    data = payload if isinstance(payload, bytes) else str(payload or "").encode()
    properties: Any = message.properties
    headers = {name.lower(): value for name, value in getattr(properties, "UserProperty", None) or ()}
    if kind := getattr(properties, "ContentType", None):
        headers["content-type"] = kind
    return Incoming("", data, headers, str(message.topic))
