"""What reads a record makes none: a backup of a folder whose disk is not there is no backup."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.commands import backup, export, feed, jobs, privacy, reindex
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings


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
