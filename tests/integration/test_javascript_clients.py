"""Clients of others, in JavaScript: fhir-kit-client."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.running import Running

_HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.xdist_group("demo"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (_HERE / "node_modules").is_dir(), reason="run `npm ci` in tests/integration first"),
]


def test_fhir_kit_client_does_its_whole_round(demo_server: Running) -> None:
    done = subprocess.run(
        ["node", "fhir_kit.js", demo_server.base], cwd=_HERE, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen == {
        "version": "4.0.1", "version2": "2", "gender": "unknown", "vread": "1", "history": 3, "typeHistory": "history",
        "systemHistory": "history", "search": 1, "posted": 1, "compartment": 2, "pages": [5, 5, True],
        "transaction": seen["transaction"], "batch": seen["batch"], "gone": 410, "outcome": "OperationOutcome",
    }  # fmt: skip
    assert seen["transaction"].startswith("201") and seen["batch"].startswith("201")
