"""Changes as CloudEvents, and messages that came in read as such.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and its bindings for HTTP, Kafka, MQTT, NATS
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from fhir_server.plugin_api import FeedChange, decode, encode, instant, trace_headers

TYPE: Final = "org.hl7.fhir.resource."
"""Prefix of the type of events; `created`, `updated` or `deleted` follows."""

JSON: Final = "application/fhir+json"
STRUCTURED: Final = "application/cloudevents+json"
_REQUIRED: Final = ("specversion", "id", "source", "type")


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event: its attributes, and its data as bytes of JSON (empty: none)."""

    attributes: Mapping[str, str]
    data: bytes = b""

    @property
    def id(self) -> str:
        """Together with the source, unique for ever."""
        return self.attributes["id"]

    @property
    def deletes(self) -> str:
        """The resource `Type/id` that it says was deleted; empty for none."""
        return self.attributes.get("subject", "") if self.attributes["type"].endswith(".deleted") else ""

    def structured(self) -> bytes:
        """Return the whole event as one JSON document; the data stand in it as they are."""
        head = encode(dict(self.attributes))
        return b"".join((head[:-1], b',"data":', self.data, b"}")) if self.data else head

    def headers(self, prefix: str) -> dict[str, str]:
        """Return the attributes as headers (`ce-` for HTTP and NATS, `ce_` for Kafka), percent-encoded."""
        named = {name: value for name, value in self.attributes.items() if name != "datacontenttype"}
        return {f"{prefix}{name}": quote(value, safe=" !#$&'()*+,/:;=?@[]~") for name, value in named.items()}


def event_of(change: FeedChange, base: str, *, full: bool) -> CloudEvent:
    """Return the event of a change. `base` is the URL of the FHIR endpoint."""
    attributes = {
        "specversion": "1.0",
        "id": change.id,
        "source": base,
        "type": f"{TYPE}{change.method}",
        "subject": str(change.key),
        "time": instant(change.last_updated),
        **trace_headers(),  # https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md
        "txid": str(change.txid),
    }
    data = change.body if full else b""
    return CloudEvent({**attributes, **({"datacontenttype": JSON} if data else {})}, data)


class NoEvent(ValueError):
    """A message that cannot be read."""


def read_event(data: bytes, headers: Mapping[str, str], prefix: str) -> CloudEvent | None:
    """Return the CloudEvent that a message is, in either form; None where it is none. Raises NoEvent."""
    kind = headers.get("content-type", "")
    if kind.startswith(STRUCTURED):
        return _of_document(_parsed(data))
    if f"{prefix}specversion" in headers:
        named = {
            name.removeprefix(prefix): unquote(value) for name, value in headers.items() if name.startswith(prefix)
        }
        return _checked(CloudEvent(named, data))
    if data[:1] == b"{" and b'"specversion"' in data:
        document = _parsed(data)
        if "specversion" in document:
            return _of_document(document)
    return None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = decode(data)
    except ValueError as error:
        raise NoEvent(f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise NoEvent("it is no JSON object")
    return found


def _of_document(document: dict[str, Any]) -> CloudEvent:
    data = document.pop("data", None)
    attributes = {name: value for name, value in document.items() if isinstance(value, str)}
    return _checked(CloudEvent(attributes, b"" if data is None else encode(data)))


def _checked(event: CloudEvent) -> CloudEvent:
    missing = [name for name in _REQUIRED if not event.attributes.get(name)]
    if missing:
        raise NoEvent(f"a CloudEvent without {', '.join(missing)}")
    return event
