"""One server for each module: its patients are told apart by their ids."""

from collections.abc import Iterator

import pytest

from fhir_server.testing.server import TestServer, serving


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with serving() as found:
        yield found
