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
