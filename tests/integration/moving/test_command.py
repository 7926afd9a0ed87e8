"""`fhir-server migrate` as it is typed, and `audit verify` on what came of it."""

import asyncio
import json
import re
import stat
from pathlib import Path

import pytest

from fhir_server.cli import main
from fhir_server.privacy.nodes import agree
from fhir_server.privacy.register import ERASURES
from fhir_server.storage.base import RecordChange
from fhir_server.tenancy.erasures import begin, open_register
from fhir_server.terminology.systems.shared import publish
from tests.conformance.storage.world import BASE, World
from tests.integration.moving.kit import end, fill, in_store
from tests.servers.mongodb import end_at


def test_the_command_says_what_it_will_do_does_it_and_refuses_to_do_it_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("mongodb", tmp_path / "b")
    asyncio.run(in_store(source, fill))
    (source.settings.data_dir / "erasures.ndjson").write_text("{}\n")
    url = end_at(target.settings.mongodb_url, target.settings.mongodb_database)
    line = ["migrate", "--from", f"sqlite://{source.settings.data_dir}", "--to", url, "--base-url", BASE]
    line += ["--data-dir", str(target.settings.data_dir), "--mongodb-lease", "1"]
    assert main([*line, "--dry-run"]) == 0
    assert re.search(r"default: \d\d versions, 600 audit rows", capsys.readouterr().err)
    (target.settings.data_dir / ".erasures.ndjson.moving").mkdir(parents=True)
    assert main(line) == 1, "no register, no move"
    (target.settings.data_dir / ".erasures.ndjson.moving").rmdir()
    assert main([*line, "--json"]) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert report["finished"] and report["same"] and report["audits"][0]["covered"] == 600
    assert "holds all that" in told.err and "2 signed heads vouch for 600 rows" in told.err
    assert (target.settings.data_dir / "erasures.ndjson").read_text() == "{}\n"
    assert main(line) == 1
    assert "is there and is no half-done move" in capsys.readouterr().err
    where = ["--storage", "mongodb", "--mongodb-url", target.settings.mongodb_url]
    assert main(["audit", "verify", *where, "--mongodb-database", target.settings.mongodb_database]) == 0
    assert "600 rows, 2 heads" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["postgres://x/y", "sqlite://", "nowhere"])
def test_an_end_that_is_none_is_named(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--from", bad, "--to", "settings"]) == 1
    assert "sqlite:///path/to/data" in capsys.readouterr().err


async def _served_by_nodes(world: World, node: Path) -> None:
    """Leave what nodes of a deployment leave: their salt, who was erased, and a code system that all of them have."""
    await agree(world.store, node / "erasures.ndjson")
    await world.store.declare(ERASURES)
    erasure = {"subject": "ab" * 32, "time": 5, "counts": {}, "id": "e1", "by": "somebody"}
    await world.store.commit((), (RecordChange(ERASURES.name, "e1", erasure),))
    (node / "snomed.codes").write_bytes(b"codes")
    await publish(world.store, node / "snomed.codes", "http://snomed.info/sct|1")


def test_a_server_that_leaves_mongodb_knows_who_was_erased_and_what_the_nodes_had_in_common(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target, node = end("mongodb", tmp_path / "a"), tmp_path / "b", tmp_path / "node"
    node.mkdir()
    asyncio.run(in_store(source, lambda world: _served_by_nodes(world, node)))
    url = end_at(source.settings.mongodb_url, source.settings.mongodb_database)
    line = ["migrate", "--from", url, "--to", f"sqlite://{target}", "--base-url", BASE, "--mongodb-lease", "1"]
    begin(target / "erasures.ndjson", b"of another installation.........")
    assert main(line) == 1
    assert "is the register of erasures of another installation" in capsys.readouterr().err
    (target / "erasures.ndjson").unlink()
    assert main(line) == 0
    assert "1 erasures noted" in capsys.readouterr().err
    register, theirs = (open_register(folder / "erasures.ndjson") for folder in (target, node))
    assert register.salt == theirs.salt and register.subjects == {"ab" * 32}
    assert (target / "terminology" / "snomed.codes").read_bytes() == b"codes"
    assert stat.S_IMODE((target / "erasures.ndjson").stat().st_mode) == 0o600
