"""The register of erasures reaches the archive of backups with the erasure, not with the next round."""

from pathlib import Path

from fhir_server.settings import Settings
from fhir_server.tenancy.erasures import bring, note, open_register, place_of


def settings_of(folder: Path) -> Settings:
    (folder / "archive").mkdir()
    return Settings(data_dir=folder / "data", backup_archive=folder / "archive")


async def test_an_erasure_is_in_the_archive_at_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    register = place_of(settings)
    subject = open_register(register).subject("default", "1")
    for _ in range(2):
        note(register, {"subject": subject, "time": 1, "counts": {}})
        await bring(settings)
    assert (tmp_path / "archive" / register.name).read_bytes() == register.read_bytes()
    assert open_register(tmp_path / "archive" / register.name).subjects == {subject}


async def test_the_register_of_another_installation_is_left_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    theirs = tmp_path / "archive" / place_of(settings).name
    salt = open_register(theirs).salt
    note(place_of(settings), {"subject": open_register(place_of(settings)).subject("default", "1"), "time": 1})
    await bring(settings)
    assert open_register(theirs).salt == salt and not open_register(theirs).subjects


async def test_an_archive_that_is_away_keeps_no_erasure_from_being_noted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    open_register(place_of(settings))
    (tmp_path / "archive").rmdir()
    await bring(settings)
    assert not (tmp_path / "archive").exists()
