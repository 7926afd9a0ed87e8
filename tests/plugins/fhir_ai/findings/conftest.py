"""One server for each module: its patients are told apart by their ids."""

from collections.abc import Iterator

import pytest

from fhir_server.testing.server import TestServer, serving
from tests.plugins.only import but


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with serving(plugins_disabled=but("fhir_ai", "fhir_cds_hooks")) as found:
        yield found
