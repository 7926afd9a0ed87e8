"""The fixtures that pytest finds through the entry point `pytest11` of the server's distribution."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fhir_server.testing.server import TestServer


@pytest.fixture
def fhir_server_app() -> "Iterator[TestServer]":
    """A server in memory with the plugins that are installed; everybody may do everything."""
    from fhir_server.testing.server import serving  # most tests that pytest runs do not ask for a server

    with serving() as server:
        yield server


@pytest.fixture
def fhir_server_with() -> Iterator[Any]:
    """Starts servers with settings of choice: `fhir_server_with(plugins={"hello": {"greeting": "Hi"}})`."""
    from fhir_server.testing.server import serving

    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(**settings))
