"""Bodies of requests beside FHIR: who does not send the rest is not waited for."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from fhir_server.api.auth import service
from fhir_server.api.plugin_routes import _Asked
from fhir_server.auth.errors import OAuthError
from fhir_server.errors import RequestTimeout
from fhir_server.settings import Settings


def _begun() -> Request:
    """Return a request of which a piece came, and nothing after it."""
    pieces = [{"type": "http.request", "body": b"grant_type=", "more_body": True}]

    async def receive() -> Any:
        if not pieces:
            await asyncio.Event().wait()
        return pieces.pop()

    scope = {"type": "http", "method": "POST", "path": "/hook", "headers": [], "query_string": b""}
    return Request(scope, receive)


async def test_a_form_that_does_not_come_to_its_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE", 0.01)
    with pytest.raises(OAuthError) as refused:
        await service.body_of(_begun())
    assert refused.value.status == 408


async def test_the_body_for_a_plugin_ends_when_nothing_comes_any_more() -> None:
    settings = Settings().model_copy(update={"read_timeout": 0.01})
    with pytest.raises(RequestTimeout) as refused:
        await _Asked(_begun(), settings, "http://testserver/fhir").body()
    assert refused.value.headers["Connection"] == "close"
