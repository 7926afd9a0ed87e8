"""Every file of `profiles/` is named in a manifest with its hash, its source and its licence."""

import hashlib
import json
from pathlib import Path

import pytest

from fhir_server.definitions import locate

FOLDER = locate()
CORE = (FOLDER.parent / "core", FOLDER.parent.parent / "terminology" / "core")


def files_of(manifest: Path) -> dict[str, dict[str, object]]:
    files = json.loads(manifest.read_text())["files"]
    assert isinstance(files, dict)
    return files


@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent, *CORE], ids=["r4", "ours", "profiles", "terminology"])
def test_manifest_names_every_table_with_its_hash(folder: Path) -> None:
    files = files_of(folder / "manifest.json")
    assert set(files) == {path.name for path in folder.glob("*.*json")} - {"manifest.json"}
    for name, facts in files.items():
        content = (folder / name).read_bytes()
        assert facts["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert facts["bytes"] == len(content), name


@pytest.mark.parametrize("folder", [FOLDER, *CORE], ids=["r4", "profiles", "terminology"])
def test_manifest_says_where_the_facts_come_from(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["version"] == "4.0.1"
    assert manifest["licence"] == "CC0-1.0"
    assert manifest["source"]["package"] == "hl7.fhir.r4.core"
    assert manifest["source"]["sha256"] == "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"


def test_tables_have_one_entry_per_line() -> None:
    """A change of one fact is a change of one line."""
    for path in [*FOLDER.glob("*.json"), *FOLDER.parent.glob("*.json")]:
        if path.name != "manifest.json":
            longest = max(len(line) for line in path.read_text().splitlines())
            assert longest < 10_000, path.name
