"""For the tests of plugins: a server in memory, resources to fill it with, a clock that stands still (docs/plugins.md).

pytest finds the fixtures by itself; pytest is not needed by the server.
"""

from fhir_server.testing.builders import build
from fhir_server.testing.clock import FakeClock
from fhir_server.testing.server import TestServer, serving

__all__ = ["FakeClock", "TestServer", "build", "serving"]
