"""One server with demo patients, shared by the tests of a worker that only read or write what is theirs."""

from collections.abc import Iterator

import pytest

from tests.integration.running import Running, running


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with the demo patients."""
    with running(tmp_path_factory.mktemp("demo") / "data", demo=True) as server:
        yield server
