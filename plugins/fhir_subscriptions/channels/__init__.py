"""Channels: how notifications reach their subscribers, one module each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be sent: once for notifications on topics, else one for each event.

    url, method: of HTTP. key: the same however often it is sent, so that receivers can tell.
    """

    body: bytes = b""
    media_type: str = "application/fhir+json"
    method: str = "POST"
    url: str = ""
    key: str = ""
    subject: str = ""


class NotDelivered(Exception):
    """It did not arrive; the message says why, and never what was in it. `final`: it never will."""

    def __init__(self, said: str, *, final: bool = False) -> None:
        super().__init__(said)
        self.final = final
