"""Events to an HTTP endpoint, signed.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

import httpx

from fhir_bridges.events import STRUCTURED, CloudEvent
from fhir_bridges.settings import Out
from fhir_server.plugin_api import trace_headers

_SHOWN: Final = 200


class Refused(Exception):
    """The receiver did not take an event; the message has its status."""


class Webhook:
    """Posts one event after the other; what is answered with 2xx is delivered."""

    def __init__(self, bridge: Out, now: Callable[[], float] = time.time) -> None:
        self._bridge, self._now = bridge, now
        self._client: httpx.AsyncClient | None = None

    async def send(self, events: Sequence[tuple[str, CloudEvent]]) -> None:
        """Send events in order. Raises Refused, httpx.HTTPError."""
        if self._client is None:
            verify: str | bool = self._bridge.ca or True
            self._client = httpx.AsyncClient(timeout=self._bridge.timeout, verify=verify, follow_redirects=False)
        for tenant, event in events:
            body, headers = self._message(tenant, event)
            answer = await self._client.post(self._bridge.url, content=body, headers=headers)
            if not answer.is_success:
                raise Refused(f"{answer.status_code} {answer.reason_phrase}"[:_SHOWN])

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _message(self, tenant: str, event: CloudEvent) -> tuple[bytes, dict[str, str]]:
        if self._bridge.mode == "structured":
            body, headers = event.structured(), {"content-type": f"{STRUCTURED}; charset=utf-8"}
        else:
            body = event.data
            headers = event.headers("ce-")
            if body:
                headers["content-type"] = event.attributes["datacontenttype"]
        if authorization := self._bridge.authorization.get_secret_value():
            headers["authorization"] = authorization
        message_id = f"{tenant}:{event.id}"
        return body, {
            **headers,
            **trace_headers(),
            **signed(self._bridge.secret.get_secret_value(), message_id, int(self._now()), body),
        }


def signed(secret: str, message_id: str, moment: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver checks who sent a message and when, as Standard Webhooks has it."""
    content = b".".join((message_id.encode(), str(moment).encode(), body))
    signature = b64encode(hmac.new(secret.encode(), content, sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": f"v1,{signature}",
    }
