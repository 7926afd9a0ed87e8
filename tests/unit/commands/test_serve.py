"""`serve` on a folder that it cannot use says so in a sentence."""

import argparse
from pathlib import Path

import pytest

from fhir_server.commands import serve
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings


def test_a_data_folder_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CommandFailed, match="cannot be made"):
            serve.run(Settings(data_dir=folder), argparse.Namespace())
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(CommandFailed, match="nothing can be written"):
        serve.run(Settings(data_dir=tmp_path / "folder"), argparse.Namespace())
