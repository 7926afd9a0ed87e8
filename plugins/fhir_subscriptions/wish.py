"""Wish: what a Subscription asks for, read once.

Spec: https://hl7.org/fhir/R4/subscription.html and https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import parse_qsl

from fhir_server.plugin_api import encode

TYPE: Final = "Subscription"
TOPIC: Final = "SubscriptionTopic"
BACKPORT: Final = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
FILTER: Final = f"{BACKPORT}/backport-filter-criteria"
HEARTBEAT: Final = f"{BACKPORT}/backport-heartbeat-period"
TIMEOUT: Final = f"{BACKPORT}/backport-timeout"
MAX_COUNT: Final = f"{BACKPORT}/backport-max-count"
CONTENT: Final = f"{BACKPORT}/backport-payload-content"
CHANNEL: Final = f"{BACKPORT}/backport-channel-type"
CONTENTS: Final = ("empty", "id-only", "full-resource")

_OF_THE_CONNECTION: Final = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """One Subscription.

    topic: its canonical URL; empty for R4's own kind. criteria: (type, parameters) of that kind, or of each filter of
    a topic. channel: its type. content: how much of resources goes along, on topics. headers: of HTTP, name and value.
    heartbeat, timeout, max_count: 0 where it says nothing. end: an instant; empty: none.
    """

    id: str
    topic: str = ""
    criteria: tuple[tuple[str, Pairs], ...] = ()
    channel: str = "rest-hook"
    endpoint: str = ""
    payload: str = ""
    content: str = "empty"
    headers: Pairs = ()
    heartbeat: int = 0
    timeout: int = 0
    max_count: int = 0
    end: str = ""

    @property
    def group(self) -> str:
        """Return the id of those that wait for the same events."""
        said = encode([self.topic, sorted([type_, sorted(pairs)] for type_, pairs in self.criteria)])
        return blake2b(said, digest_size=12).hexdigest()

    @property
    def ends(self) -> int:
        """Return when it ends, milliseconds since 1970; 0: never."""
        return round(datetime.fromisoformat(self.end).timestamp() * 1000) if self.end else 0

    @property
    def mark(self) -> str:
        """Return what changes when anything of the wish does."""
        return blake2b(encode(asdict(self)), digest_size=8).hexdigest()


class Misread(Exception):
    """A Subscription that cannot be read: what is wrong, and where."""

    def __init__(self, said: str, expression: str) -> None:
        super().__init__(said)
        self.expression = expression


def read_wish(subscription: Mapping[str, Any]) -> Wish:
    """Read a Subscription. Its criteria are a topic where they are a URL.

    Raises:
        Misread: it says something that cannot be understood.
    """
    criteria = str(subscription.get("criteria", ""))
    channel = subscription.get("channel", {})
    on_topic = _is_url(criteria)
    if on_topic:
        read = tuple(filter(None, map(_filter, enumerate(_extensions(subscription.get("_criteria"), FILTER)))))
    else:
        read = (split(criteria, "Subscription.criteria"),)
    return Wish(
        id=str(subscription.get("id", "")),
        topic=criteria.partition("|")[0] if on_topic else "",
        criteria=read,
        channel=_channel(channel),
        endpoint=str(channel.get("endpoint", "")),
        payload=str(channel.get("payload", "")),
        content=_content(channel),
        headers=tuple(_header(number, line) for number, line in enumerate(channel.get("header", ()))),
        heartbeat=_number(channel, HEARTBEAT),
        timeout=_number(channel, TIMEOUT),
        max_count=_number(channel, MAX_COUNT),
        end=str(subscription.get("end", "")),
    )


def _is_url(criteria: str) -> bool:
    """Tell a topic from a search, whose values may be URLs: `Observation?code=http://loinc.org|718-7`."""
    return "://" in criteria.partition("?")[0] or criteria.startswith("urn:")


def split(text: str, expression: str) -> tuple[str, Pairs]:
    """Return type and parameters of `Observation?code=1`. Raises Misread."""
    type_, _, query = text.partition("?")
    if not type_.isalpha():
        raise Misread("criteria are a type and its search parameters: Observation?code=...", expression)
    return type_, tuple(parse_qsl(query, keep_blank_values=True))


def _filter(given: tuple[int, Any]) -> tuple[str, Pairs] | None:
    number, extension = given
    text = str(extension.get("valueString", ""))
    return split(text, f"Subscription.criteria.extension[{number}].value") if text else None


def _extensions(element: Any, url: str) -> Sequence[Mapping[str, Any]]:
    found = element.get("extension", ()) if isinstance(element, dict) else ()
    return [each for each in found if each.get("url") == url]


def _number(element: Any, url: str) -> int:
    for extension in _extensions(element, url):
        return int(next((value for name, value in extension.items() if name.startswith("value")), 0))
    return 0


def _content(channel: Mapping[str, Any]) -> str:
    for extension in _extensions(channel.get("_payload"), CONTENT):
        content = str(extension.get("valueCode", ""))
        if content not in CONTENTS:
            raise Misread(f"payload content is one of {', '.join(CONTENTS)}", "Subscription.channel.payload.extension")
        return content
    return "empty"


def _channel(channel: Mapping[str, Any]) -> str:
    for extension in _extensions(channel.get("_type"), CHANNEL):
        return str(extension.get("valueCoding", {}).get("code", ""))
    return str(channel.get("type", ""))


def _header(number: int, line: Any) -> tuple[str, str]:
    name, colon, value = str(line).partition(":")
    name, value = name.strip(), value.strip()
    plain = name.isascii() and value.isascii() and (value.isprintable() or not value)
    if not colon or not name.replace("-", "").replace("_", "").isalnum() or not plain:
        raise Misread("a header is `Name: value`, on one line, in ASCII", f"Subscription.channel.header[{number}]")
    if name.lower() in _OF_THE_CONNECTION:
        raise Misread(f"the header {name} is the server's to send", f"Subscription.channel.header[{number}]")
    return name, value


@dataclass(frozen=True, slots=True)
class Membership:
    """What is kept of a Subscription (the record `fhir_subscriptions.members`).

    state: requested (its handshake is due), active, error. seen: the last event of its group that was looked at for it.
    total: its own number of events so far. delivered: the last of these that it has. since, tries, due: of failing,
    milliseconds. heard: when it was last sent something.
    """

    wish: Wish
    mark: str
    group: str
    base: str = ""
    state: str = "requested"
    seen: int = 0
    total: int = 0
    delivered: int = 0
    since: int = 0
    tries: int = 0
    due: int = 0
    heard: int = 0
    error: str = ""

    def as_record(self) -> dict[str, Any]:
        """Return the value of its record."""
        return asdict(self)
