"""An archive in a bucket as an operator uses it: a server that is killed, an empty machine, a drill."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from fhir_server.cli import main
from tests.integration.running import start
from tests.integration.test_archive import answers, now, put
from tests.servers.s3 import KEYS, Store, running


def shipped(s3: Store, after: float) -> None:
    """Wait until the bucket has all that was committed by a time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if "site/alive.json" in s3.keys("backups"):
            body = s3.client.get_object(Bucket="backups", Key="site/alive.json")["Body"].read()
            if json.loads(body).get("complete_until", 0) > after:
                return
        time.sleep(0.1)
    raise AssertionError("the archive stays behind")


@pytest.mark.long
def test_a_server_that_is_killed_comes_back_from_its_bucket_on_an_empty_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setitem(os.environ, name, value)
    with running() as s3:
        archive = s3.bucket("backups") + "/site"
        s3_flags = ["--backup-s3-endpoint", s3.url, "--backup-s3-path-style"]
        server = start(tmp_path / "data", "--backup-archive", archive, "--backup-every", "0.2", *s3_flags)
        try:
            put(server, "kept")
            shipped(s3, time.time())
            before = now()
            put(server, "later")
            shipped(s3, time.time())
        finally:
            server.kill()

        def asked(*arguments: str) -> Any:
            status = main([*arguments, "--auth", "none", *s3_flags])
            said = capsys.readouterr()
            assert status == 0, said.err
            return said.out

        asked("restore", archive, "--to", before, "--data-dir", str(tmp_path / "again"))
        found = asyncio.run(answers(tmp_path / "again", "Patient/kept", "Patient/later"))
        assert [answer.status_code for answer in found] == [200, 404]
        drilled = asked("drill", "--archive", archive, "--scratch", str(tmp_path / "scratch"), "--json")
        assert json.loads(drilled)["problems"] == [] and json.loads(drilled)["resources"] == 2
        assert len(json.loads(asked("backup", "list", "--archive", archive, "--json"))["tenants"]["default"]) == 1
        asked("backup", "verify", "--archive", archive)
        assert "site/drills.ndjson" in s3.keys("backups")
    assert main(["backup", "list", "--archive", archive, *s3_flags]) == 1
    assert "s3://backups/site" in capsys.readouterr().err
