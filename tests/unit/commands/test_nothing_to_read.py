"""What reads a record makes none: a backup of a folder whose disk is not there is no backup."""

import errno
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.commands import backup, export, feed, jobs, line, privacy, reindex
from fhir_server.serving.door import CommandFailed, open_door
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.ownership import own, owner_of


def test_a_backup_or_export_of_nothing_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    flags = Namespace(target=str(tmp_path / "copy"), tenant="")
    with pytest.raises(CommandFailed, match="no record in"):
        backup.run(settings, flags)
    with pytest.raises(CommandFailed, match="no record in"):
        export.run(settings, Namespace(target=tmp_path / "copy", tenant="default"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (feed, {"action": "status"}),
        (jobs, {"action": "list"}),
        (reindex, {"types": []}),
        (privacy, {"action": "retention", "policies": None}),
    ],
    ids=["feed", "jobs", "reindex", "privacy"],
)
def test_who_looks_after_a_record_makes_none(tmp_path: Path, command: Any, flags: dict[str, Any]) -> None:
    with pytest.raises(CommandFailed, match="no record in"):
        command.run(Settings(data_dir=tmp_path / "data"), Namespace(tenant="default", **flags))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "asked",
    [
        "users list", "users role x", "users set-password x", "users lock x", "users unlock x", "users totp-reset x",
        "users remove x", "clients list", "clients show x", "clients remove x", "clients keys rotate", "masks list",
        "masks remove x", "tenants list", "tenants show x", "tenants set x", "tenants suspend x", "tenants resume x",
        "tenants erase x", "tenants export x OUT", "packages list", "packages remove a#1", "plugins status",
        "plugins disable x", "plugins enable x", "upgrade", "upgrade finish", "upgrade back", "jobs list",
        "feed status", "audit verify", "audit export", "audit retention", "export OUT", "reindex", "backup OUT",
        "backup base", "privacy retention", "privacy erase x", "privacy replay", "keys status", "keys rotate",
        "keys encrypt", "keys copy", "models list", "models stop x",
    ],
)  # fmt: skip
def test_no_command_but_those_that_begin_makes_a_record_in_a_mistyped_folder(
    tmp_path: Path, asked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / "out") if word == "OUT" else word for word in asked.split()]
    assert line.run([*words, "--data-dir", str(tmp_path / "data")]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"fhir-server {words[0]}: there is no record") and said.out == ""
    assert not list(tmp_path.iterdir())


def test_every_command_is_looked_at_here_or_may_begin_a_record_or_needs_none() -> None:
    begin_or_need_none = {"serve", "load", "restore", "drill", "migrate", "fhirpath", "terminology"}
    mark = test_no_command_but_those_that_begin_makes_a_record_in_a_mistyped_folder.pytestmark[0]  # type: ignore[attr-defined]
    looked_at = {asked.split()[0] for asked in mark.args[1]}
    assert looked_at >= set(line._COMMANDS) - begin_or_need_none


def test_a_folder_that_is_mounted_read_only_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system", "data/owner.lock")

    monkeypatch.setattr(backup, "run", refused)
    assert line.run(["backup", str(tmp_path / "copy"), "--data-dir", str(tmp_path / "data")]) == 1
    assert capsys.readouterr().err == "fhir-server backup: data/owner.lock: Read-only file system\n"


def test_no_server_is_begun_in_a_folder_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(CommandFailed, match="nothing can be written"), open_door(Settings(data_dir=tmp_path)):
        pass


def test_who_owns_a_folder_is_seen_without_writing(tmp_path: Path) -> None:
    with own(tmp_path, "http://127.0.0.1:1"):
        (tmp_path / "owner.lock").chmod(0o400)
        found = owner_of(tmp_path)
    assert found is not None and found.address == "http://127.0.0.1:1"
