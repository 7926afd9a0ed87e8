"""Parcels of R4's own subscriptions: what goes out for one event on each channel.

Spec: https://hl7.org/fhir/R4/subscription.html#channels
"""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_server.plugin_api import Definitions, decode, encode, instant, json_to_xml
from fhir_subscriptions.channels import Parcel
from fhir_subscriptions.notification import Told
from fhir_subscriptions.wish import Membership


def parcel_of(definitions: Definitions, member: Membership, told: Told) -> Parcel:
    """Return what is sent: a bare sign where there is no payload, else the resource.

    The endpoint of a rest-hook with a payload is a service base, and the notification an update (or delete) there.
    """
    wish, event = member.wish, told.event
    key = f"{wish.id}/{event.number}"
    if wish.channel == "message":
        return Parcel(_message(member, told), key=key)
    if not wish.payload or not told.seen:
        return Parcel(key=key, subject="Subscription: something is new")
    if wish.channel == "email":
        return Parcel(told.body, wish.payload, key=key, subject="Subscription: something is new")
    url = f"{wish.endpoint.rstrip('/')}/{event.type}/{event.id}"
    if event.method == "deleted":
        return Parcel(method="DELETE", url=url, key=key)
    xml = wish.payload.endswith("xml")
    return Parcel(json_to_xml(told.body, definitions) if xml else told.body, wish.payload, "PUT", url, key)


def _message(member: Membership, told: Told) -> bytes:
    """Return the event as a message. Spec: https://hl7.org/fhir/R4/messaging.html"""
    event = told.event
    focus = f"{member.base}/{event.type}/{event.id}"
    header: dict[str, Any] = {
        "resourceType": "MessageHeader",
        "id": str(uuid5(NAMESPACE_URL, f"{member.base}/Subscription/{member.wish.id}#{event.number}")),
        "eventUri": f"{member.base}/Subscription/{member.wish.id}",
        "destination": [{"endpoint": member.wish.endpoint}],
        "source": {"endpoint": member.base},
    }
    entries: list[dict[str, Any]] = [{"fullUrl": f"urn:uuid:{header['id']}", "resource": header}]
    if told.seen:
        header["focus"] = [{"reference": focus}]
        if told.body:
            entries.append({"fullUrl": focus, "resource": decode(told.body)})
    return encode(
        {
            "resourceType": "Bundle", "id": str(uuid5(NAMESPACE_URL, f"{header['id']}#bundle")), "type": "message",
            "timestamp": instant(event.at), "entry": entries,
        }
    )  # fmt: skip
