"""FerretDB behind a proxy."""

from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy
from tests.servers.mongodb import ferretdb, is_built


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Return a proxy in front of the FerretDB of this process."""
    if not is_built():
        pytest.skip("FerretDB was not built (Go is not installed)")
    with Proxy(int(ferretdb().rstrip("/").rpartition(":")[2]), wire="mongodb") as made:
        yield made
