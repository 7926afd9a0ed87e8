"""Held code systems that tests only read."""

from pathlib import Path

import pytest

from fhir_server.terminology.loaders.rf2 import SnomedCt
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.store import Store
from tests.unit.terminology.snomed import write_snapshot


@pytest.fixture(scope="session")
def snomed_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The small snapshot, loaded."""
    folder: Path = tmp_path_factory.mktemp("snomed")
    return Store(build(SnomedCt(write_snapshot(folder / "release")), folder / "terminology"))


@pytest.fixture(scope="session")
def snomed(snomed_store: Store) -> Held:
    """The same, as the service sees it."""
    return Held(snomed_store)
