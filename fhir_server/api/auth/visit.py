"""One browser in the middle of the way from an app's request to a user's decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.responses import Response

from fhir_server.api.auth.show import go_to
from fhir_server.auth.authorization import Asked
from fhir_server.auth.desk import Desk
from fhir_server.auth.sessions import Session


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a browser, whose user is signed in. `cookie` is that of the session; `form` what was sent."""

    desk: Desk
    tenant: str
    handle: str
    asked: Asked
    session: Session
    cookie: str
    form: Mapping[str, str]

    def back(self, **values: str) -> Response:
        """Send the browser back to the app."""
        return back(self.asked.redirect_uri, self.desk, self.asked.state, **values)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a grant will be about: patient and encounter by logical id, and further launch context."""

    patient: str = ""
    encounter: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def back(redirect_uri: str, desk: Desk, state: str, **values: str) -> Response:
    """Send the browser back to the app; `iss` tells it who answers (RFC 9207)."""
    given = {**values, "state": state, "iss": desk.issuer}
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return go_to(f"{redirect_uri}{joint}{urlencode({name: value for name, value in given.items() if value})}")
