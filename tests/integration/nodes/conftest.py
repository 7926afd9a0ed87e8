"""Two nodes on one MongoDB (FerretDB in tests), shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.integration.nodes.nodes import Nodes, seeded
from tests.servers.mongodb import fresh, mongodb_url


@pytest.fixture(scope="package")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Nodes `a` and `b`."""
    url, database = mongodb_url(), fresh("n")
    made = Nodes(url, database, tmp_path_factory.mktemp("nodes"), [], seeded(url, database))
    try:
        made.start("a", "b")
        yield made
    finally:
        made.stop()
