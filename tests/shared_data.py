"""Find the public test data that lies beside a checkout; tests that need it skip, loudly, where it is absent."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """Return the folder of one data set, or skip the calling test with the reason.

    `FHIR_SERVER_TEST_DATA` names another place to look.
    """
    root = Path(os.environ.get("FHIR_SERVER_TEST_DATA", _DEFAULT))
    folder = root / name
    if not folder.is_dir():
        pytest.skip(f"test data {name!r} not found in {root}", allow_module_level=True)
    return folder
