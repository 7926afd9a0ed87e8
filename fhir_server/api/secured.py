"""Security headers of answers outside the FHIR endpoint, which sets its own. Source: OWASP Secure Headers"""

from collections.abc import MutableMapping
from typing import Any

from starlette.types import Send

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)


def secured(send: Send) -> Send:
    """Return a `send` that adds what an answer does not say itself."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told = list(message.get("headers", ()))
            names = {name.lower() for name, _ in told}
            message = {**message, "headers": told + [field for field in _HEADERS if field[0] not in names]}
        await send(message)

    return sending
