"""`fhir-server migrate` as it is typed, and `audit verify` on what came of it."""

import asyncio
import json
from pathlib import Path

import pytest

from fhir_server.cli import main
from tests.conformance.storage.world import BASE
from tests.integration.moving.kit import end, fill, in_store


def test_the_command_says_what_it_will_do_does_it_and_refuses_to_do_it_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = end("sqlite", tmp_path / "a"), end("mongodb", tmp_path / "b")
    asyncio.run(in_store(source, fill))
    (source.settings.data_dir / "erasures.ndjson").write_text("{}\n")
    url = f"{target.settings.mongodb_url}{target.settings.mongodb_database}"
    line = ["migrate", "--from", f"sqlite://{source.settings.data_dir}", "--to", url, "--base-url", BASE]
    line += ["--data-dir", str(target.settings.data_dir), "--mongodb-lease", "1"]
    assert main([*line, "--dry-run"]) == 0
    assert "default: 43 versions, 600 audit rows" in capsys.readouterr().err
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
