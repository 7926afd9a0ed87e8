"""What reads a record makes none: a backup of a folder whose disk is not there is no backup."""

from argparse import Namespace
from pathlib import Path

import pytest

from fhir_server.commands import backup, export
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
