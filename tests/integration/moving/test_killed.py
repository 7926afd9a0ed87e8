"""A move that dies at any moment goes on where it was, and nothing arrives twice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fhir_server.serving.moving.move import MoveRefused, Wishes
from fhir_server.storage.base import StorageFault
from fhir_server.storage.mongodb.loading import MongoDoor
from fhir_server.storage.sqlite.loading import SqliteDoor
from tests.conformance.storage.world import World, observation
from tests.integration.moving.kit import end, fill, in_store, moved
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


def cut_off(monkeypatch: pytest.MonkeyPatch, engine: str, after: int) -> None:
    """Have a move die when it takes away the mark of the tenant after so many others."""
    doors = {"sqlite": SqliteDoor, "mongodb": MongoDoor}
    put, left = doors[engine].put_mark, [after]

    async def dying(door: Any, mark: str) -> None:
        if not mark:
            left[0] -= 1
            if left[0] < 0:
                raise Dead
        await put(door, mark)

    monkeypatch.setattr(doors[engine], "put_mark", dying)


class Dead(BaseException):
    """What ends a process."""


async def held(world: World) -> dict[str, Any]:
    """What a store holds; its searches know their own addresses, which another tenant than `default` has others of."""
    return {part: found for part, found in (await everything(world)).items() if part != "searches"}


@pytest.mark.parametrize("target_engine", ["sqlite", pytest.param("mongodb", marks=pytest.mark.long)])
async def test_a_move_that_is_killed_while_it_lets_servers_in_goes_on(
    target_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = end("sqlite", tmp_path / "a"), end(target_engine, tmp_path / "b")
    for tenant in ("ward", "clinic", "default"):
        await in_store(source, fill, tenant)
    with monkeypatch.context() as patched:
        cut_off(patched, target_engine, after=1)
        with pytest.raises(Dead):
            await moved(source, target)
    with pytest.raises(StorageFault, match="was not finished"):
        await in_store(target, everything)
    report = await moved(source, target)
    assert report.finished and {part.tenant for part in report.parts} == {"default", "ward"}
    for tenant in ("ward", "clinic", "default"):
        assert await in_store(target, held, tenant) == await in_store(source, held, tenant)
    with pytest.raises(MoveRefused, match="its move was finished"):
        await moved(source, target)


async def test_what_the_source_got_after_a_move_was_killed_at_its_end_is_not_left_behind_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("sqlite", tmp_path / "b")
    for tenant in ("clinic", "default"):
        await in_store(source, fill, tenant)
    with monkeypatch.context() as patched:
        cut_off(patched, "sqlite", after=1)
        with pytest.raises(Dead):
            await moved(source, target)
    await in_store(source, lambda world: world.put(observation("late")), "clinic")
    with pytest.raises(MoveRefused, match="'clinic' was written to after a killed run had finished with it"):
        await moved(source, target)
    assert (await moved(source, target, Wishes(afresh=True))).finished
    assert await in_store(target, held, "clinic") == await in_store(source, held, "clinic")
