"""Packages that lie in a folder are in force; one that cannot be used is named and left out."""

from pathlib import Path

import pytest

from fhir_server.packages import Limits, folder
from tests.unit.packages.builders import package, value_set


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `profiles/` of an installation."""
    monkeypatch.setattr(folder, "locate", lambda: tmp_path / "profiles" / "r4")
    (tmp_path / "profiles").mkdir()
    return tmp_path / "profiles"


def ids(other: Path | None = None) -> list[str]:
    return [each.id for each in folder.folder_packages.__wrapped__(other, Limits())]


def test_those_of_the_installation_and_of_the_folder_that_is_set_are_in_force(profiles: Path, tmp_path: Path) -> None:
    assert ids() == []
    (profiles / "a.tgz").write_bytes(package("a", "1", value_set("v", "x")))
    (profiles / "manifest.json").write_text("{}")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.tgz").write_bytes(package("b", "1"))
    assert ids() == ["a#1"]
    assert ids(tmp_path / "more") == ["a#1", "b#1"]


def test_the_folder_that_is_set_goes_before_the_installation(profiles: Path, tmp_path: Path) -> None:
    (profiles / "a.tgz").write_bytes(package("a", "1"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "renamed.tgz").write_bytes(package("a", "1", value_set("v", "x")))
    (only,) = folder.folder_packages.__wrapped__(tmp_path / "more", Limits())
    assert only.counts() == {"ValueSet": 1}


def test_what_cannot_be_read_is_named_with_the_file_inside(profiles: Path, caplog: pytest.LogCaptureFixture) -> None:
    (profiles / "a.tgz").write_bytes(package("a", "1"))
    (profiles / "broken.tgz").write_bytes(b"junk")
    (profiles / "folder.tgz").mkdir()
    assert ids(profiles / "nowhere") == ["a#1"]
    assert "broken.tgz is not in force: it is not whole gzip data" in caplog.text
    assert "folder.tgz" in caplog.text
    assert "nowhere" in caplog.text
