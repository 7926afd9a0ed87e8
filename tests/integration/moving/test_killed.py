"""A move that dies at any moment goes on where it was, and nothing arrives twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.moving.kit import end, fill, in_store
from tests.integration.moving.test_arriving import everything


@pytest.mark.parametrize(("target_engine", "seed"), [("sqlite", 1), pytest.param("mongodb", 2, marks=pytest.mark.long)])
async def test_a_move_that_is_killed_again_and_again_comes_to_the_same(
    target_engine: str, seed: int, tmp_path: Path
) -> None:
    source, target = end("sqlite", tmp_path / "a"), end(target_engine, tmp_path / "b")
    await in_store(source, fill)
    before = await in_store(source, everything)
    record = (source.settings.data_dir / "tenants/default/record.db").read_bytes()
    command = [sys.executable, "-m", "tests.integration.moving.killed"]
    settings = [place.settings.model_dump_json() for place in (source, target)]
    done = subprocess.run([*command, *settings, str(seed)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(f"killed {told['killed']} times")
    assert told["killed"] >= 1 and told["report"]["same"] and told["report"]["finished"]
    assert await in_store(target, everything) == before
    assert (source.settings.data_dir / "tenants/default/record.db").read_bytes() == record, "the source was written to"
