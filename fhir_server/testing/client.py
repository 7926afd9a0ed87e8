"""A plain client of an application: an httpx.Client whose requests run on the event loop of the test's server."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp


class PortalTransport(httpx.BaseTransport):
    """Hands requests to an ASGI application that runs in another thread."""

    def __init__(self, portal: BlockingPortal, app: ASGIApp) -> None:
        self._portal, self._app = portal, httpx.ASGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole answer."""
        return self._portal.call(self._ask, request)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        inside = httpx.Request(request.method, request.url, headers=request.headers, content=content)
        answer = await self._app.handle_async_request(inside)
        body = await answer.aread()
        headers = [field for field in answer.headers.raw if field[0].lower() != b"content-encoding"]
        return httpx.Response(answer.status_code, headers=headers, content=body)


@contextmanager
def client_of(app: ASGIApp, portal: BlockingPortal) -> Iterator[httpx.Client]:
    """Give a client."""
    transport = PortalTransport(portal, app)
    with httpx.Client(transport=transport, base_url="http://testserver", follow_redirects=True) as client:
        yield client


@contextmanager
def loop() -> Iterator[BlockingPortal]:
    """Run an event loop in a thread of its own."""
    with start_blocking_portal() as portal:
        yield portal
