"""Two nodes on one MongoDB (FerretDB in tests), shared by the tests of this folder."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.nodes.nodes import Nodes, seeded
from tests.servers.mongodb import mongodb_url


@pytest.fixture(scope="package")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Nodes `a` and `b`."""
    url, database = mongodb_url(), f"n{secrets.token_hex(4)}"
    made = Nodes(url, database, tmp_path_factory.mktemp("nodes"), [], seeded(url, database))
    try:
        made.start("a", "b")
        yield made
    finally:
        made.stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have these tests run in one process: the nodes are started once.

    pytest-xdist 3.8 names the group of a test in an attribute that pytest 9.2 no longer has.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        known = getattr(item, "_id", None)
        if known is not None and item.path.parent == Path(__file__).parent and "nodes" in item.fixturenames:  # type: ignore[attr-defined]
            item._id = type(known).parse(f"{item.nodeid}@nodes")  # type: ignore[attr-defined]
