"""Notifications on topics: Bundles of type history, whose first entry says what they are about.

Spec: https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html
"""

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import uuid4

from fhir_server.plugin_api import encode, instant
from fhir_subscriptions.log import Event
from fhir_subscriptions.wish import BACKPORT, Membership

Kind = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
_STATUS: Final = f"{BACKPORT}/backport-subscription-status-r4"
_BUNDLE: Final = f"{BACKPORT}/backport-subscription-notification-r4"
_METHODS: Final = {"created": "POST", "updated": "PUT", "deleted": "DELETE"}
_ANSWERS: Final = {"created": "201", "updated": "200", "deleted": "204"}


class Told:
    """One event as its subscriber may see it now.

    seen: whether it may be named at all; consent may have changed since it was numbered. body: the resource as JSON,
    empty for a deletion. along: (fullUrl, resource) of what the topic says goes with it.
    """

    __slots__ = ("along", "body", "event", "seen")

    def __init__(self, event: Event, *, seen: bool, body: bytes = b"", along: Sequence[tuple[str, bytes]] = ()) -> None:
        self.event, self.seen, self.body, self.along = event, seen, body, tuple(along)


def status_of(member: Membership, kind: Kind, told: Sequence[Told] = ()) -> dict[str, Any]:
    """Return the status as Parameters."""
    parts: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{member.base}/Subscription/{member.wish.id}"}}
    ]
    if member.wish.topic:
        parts.append({"name": "topic", "valueCanonical": member.wish.topic})
    parts += [
        {"name": "status", "valueCode": member.state},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(member.total)},
    ]
    parts += [_event(member, each) for each in told]
    if member.error:
        parts.append({"name": "error", "valueCodeableConcept": {"text": member.error}})
    return {
        "resourceType": "Parameters", "id": str(uuid4()), "meta": {"profile": [_STATUS]}, "parameter": parts,
    }  # fmt: skip


def _event(member: Membership, told: Told) -> dict[str, Any]:
    event = told.event
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant(event.at)},
    ]
    if member.wish.content != "empty" and told.seen:
        focus = {"reference": f"{member.base}/{event.type}/{event.id}"}
        parts.append({"name": "focus", "valueReference": focus})
    return {"name": "notification-event", "part": parts}


def bundle_of(member: Membership, kind: Kind, told: Sequence[Told], now: int) -> bytes:
    """Return a notification as JSON; resources go in as they are stored."""
    status = status_of(member, kind, told)
    first = {
        "fullUrl": f"urn:uuid:{status['id']}",
        "resource": status,
        "request": {"method": "GET", "url": f"{member.base}/Subscription/{member.wish.id}/$status"},
        "response": {"status": "200"},
    }
    entries = [encode(first)]
    if member.wish.content != "empty":
        entries += [_entry(member, each) for each in told if each.seen]
    if member.wish.content == "full-resource":
        entries += [_along(url, body) for each in told for url, body in each.along]
    head = {"resourceType": "Bundle", "id": str(uuid4()), "meta": {"profile": [_BUNDLE]}, "type": "history",
            "timestamp": instant(now)}  # fmt: skip
    return encode(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _entry(member: Membership, told: Told) -> bytes:
    event = told.event
    url = f"{event.type}/{event.id}"
    about = {
        "fullUrl": f"{member.base}/{url}",
        "request": {"method": _METHODS[event.method], "url": event.type if event.method == "created" else url},
        "response": {"status": _ANSWERS[event.method]},
    }
    row = encode(about)
    if member.wish.content != "full-resource" or not told.body:
        return row
    return row[:-1] + b',"resource":' + told.body + b"}"


def _along(url: str, body: bytes) -> bytes:
    about = encode({"fullUrl": url, "request": {"method": "GET", "url": url}, "response": {"status": "200"}})
    return about[:-1] + b',"resource":' + body + b"}"
