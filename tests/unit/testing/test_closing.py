"""A server that was closed is let go: with it its stores, the files of code systems, and what plugins hold."""

import gc
from pathlib import Path
from weakref import WeakSet, ref

from fhir_server.api.application import Application
from fhir_server.definitions import Definitions
from fhir_server.testing.server import serving

ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def _files() -> int:
    """Return how many files of code systems are open."""
    return sum(each.readlink().suffix == ".codes" for each in Path("/proc/self/fd").iterdir() if each.is_symlink())


def _used() -> tuple["ref[Application]", "ref[object]"]:
    """Ask a server what makes it keep things, and close it."""
    with serving() as server:
        for path in ("metadata", "metadata?mode=terminology", f"CodeSystem/$lookup?system={ICD}&code=A00.0"):
            assert server.client.get(f"/fhir/{path}").status_code == 200
        for path in ("/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/metrics"):
            assert server.client.get(path).status_code == 200
        assert server.client.post("/fhir/Patient/$validate", json=server.patient()).status_code == 200
        assert server.client.post("/fhir/Patient", json=server.patient()).status_code == 201
        assert server.app.assembly is not None and server.app.assembly.server is not None
        return ref(server.app), ref(server.app.assembly.server.tenants.stores()[0])


def test_servers_that_were_closed_leave_nothing_behind() -> None:
    _used()  # what is loaded once for a process stays
    gc.collect()
    before, definitions = _files(), _definitions()
    left = [each for _ in range(2) for each in _used()]
    gc.collect()
    assert [type(each()).__name__ for each in left if each() is not None] == []
    assert _files() <= before
    assert _definitions() <= definitions


def _definitions() -> int:
    """Return how many sets of definitions there are: what is compiled by one is kept with it."""
    return len(WeakSet(each for each in gc.get_objects() if isinstance(each, Definitions)))
