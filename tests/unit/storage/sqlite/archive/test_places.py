"""A folder and a bucket keep the same promises."""

import hashlib
import threading
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from fhir_server.storage.sqlite.archive.places import bucket
from fhir_server.storage.sqlite.archive.places.crew import each_of
from fhir_server.storage.sqlite.archive.places.opening import open_archive
from fhir_server.storage.sqlite.archive.places.place import Spot, Taken
from fhir_server.storage.sqlite.durable import make_folder


@pytest.fixture
def archive(settings: Settings) -> Spot:
    assert settings.backup_archive is not None
    spot = open_archive(settings.backup_archive, settings)
    spot.place.begin()
    return spot


def test_what_is_put_is_there_and_what_is_not_is_told(archive: Spot, tmp_path: Path) -> None:
    spot = archive / "a" / "b" / "c.seg"
    assert not spot.is_there() and archive.place.digest(spot.at) == ""
    for call in (spot.get, lambda: spot.fetch(tmp_path / "x"), lambda: archive.place.marked(spot.at)):
        with pytest.raises(FileNotFoundError):
            call()
    spot.put(b"0123456789")
    assert spot.get() == b"0123456789" and spot.get(4) == b"0123"
    assert archive.place.digest(spot.at) == hashlib.sha256(b"0123456789").hexdigest()
    spot.fetch(tmp_path / "new" / "file")
    assert (tmp_path / "new" / "file").read_bytes() == b"0123456789"
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o600
    assert spot.is_there() and (archive / "a").is_there() and not (archive / "a/b/c").is_there()
    with archive.place.at_hand("a/b", ("c.seg", "other")) as folder:
        assert (folder / "c.seg").read_bytes() == b"0123456789" and not (folder / "other").exists()


def test_a_listing_has_all_below_a_folder_and_nothing_beside_it(archive: Spot) -> None:
    for name in ("t/1/a", "t/1/b/c", "t/2/a", "t1/x", "u"):
        (archive / name).put(name.encode())
    assert [(each.name, each.size) for each in (archive / "t").found()] == [("1/a", 5), ("1/b/c", 7), ("2/a", 5)]
    assert (archive / "t").folders() == ["1", "2"] and archive.folders() == ["t", "t1"]
    assert sorted(each.name for each in archive.found()) == ["t/1/a", "t/1/b/c", "t/2/a", "t1/x", "u"]
    assert (archive / "t/1").remove() == 0 and (archive / "t").folders() == ["2"]
    archive.remove(["u", "not there"])
    archive.place.move("t", "old/t")
    assert sorted(each.name for each in archive.found()) == ["old/t/2/a", "t1/x"]


def test_a_listing_of_several_pages_is_whole(archive: Spot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_PAGE", 7)
    names = [f"many/{number // 5}/{number:04d}" for number in range(30)]
    for _, outcome in each_of(names, lambda name: (archive / name).put(b"x"), 4):
        outcome()
    assert sorted(f"many/{each.name}" for each in (archive / "many").found()) == sorted(names)
    assert (archive / "many").remove() == 0
    assert list(archive.found()) == []


def test_of_many_who_replace_the_same_thing_one_succeeds(archive: Spot) -> None:
    place, won = archive.place, list[int]()
    mark = place.put_if("alive.json", b"before", "")
    with pytest.raises(Taken):
        place.put_if("alive.json", b"again", "")

    def attempt(number: int) -> None:
        try:
            place.put_if("alive.json", b"by %d" % number, mark, lasting=False)
            won.append(number)
        except Taken:
            pass

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
        if place.at_once > 1:  # the store of the tests looks and writes in two steps, S3 in one
            thread.join()
    for thread in threads:
        thread.join()
    data, now = place.marked("alive.json")
    assert len(won) == 1 and data == b"by %d" % won[0] and now != mark
    place.remove(["alive.json"])
    with pytest.raises(Taken):
        place.put_if("alive.json", b"late", now)


def test_a_large_file_goes_up_in_parts_and_comes_down_whole(archive: Spot, tmp_path: Path) -> None:
    source, data = tmp_path / "large", bytes(range(256)) * 21_000
    source.write_bytes(data)
    archive.place.put_file("blobs/ab/abcd", source)
    assert archive.place.holds("blobs/ab/abcd", data[:128], len(data))
    assert not archive.place.holds("blobs/ab/abcd", data[:128], len(data) - 1)
    assert not archive.place.holds("blobs/ab/abcd", b"other", len(data))
    assert not archive.place.holds("blobs/ab/none", data[:128], len(data))
    (archive / "blobs/ab/abcd").fetch(tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == data
    with pytest.raises(FileNotFoundError):
        archive.place.put_file("blobs/ab/gone", tmp_path / "gone")


def test_a_draft_appears_whole_with_its_last_file_and_leaves_nothing(archive: Spot, tmp_path: Path) -> None:
    with archive.place.draft("tenants/x", tmp_path / "scratch", 100) as draft:
        make_folder(draft)
        for name in ("base.json", "record.db"):
            (draft / name).write_bytes(name.encode())
        archive.place.put_folder(draft, "tenants/x/bases/1", "base.json")
    assert sorted(each.name for each in archive.found()) == [
        "tenants/x/bases/1/base.json",
        "tenants/x/bases/1/record.db",
    ]
    assert not draft.exists()


def test_a_name_does_not_lead_out_of_the_archive(tmp_path: Path) -> None:
    inner = open_archive(tmp_path / "archive", Settings())
    inner.place.begin()
    (tmp_path / "secret").write_text("x")
    for name in ("../secret", str(tmp_path / "secret"), "a/../../secret"):
        with pytest.raises(OSError, match="is not within"):
            inner.place.get(name)


def test_calls_side_by_side_all_end_and_tell_what_they_raised() -> None:
    def run(number: int) -> int:
        if number % 7 == 0:
            raise ValueError(number)
        return number

    found, failed = list[int](), 0
    for _, outcome in each_of(range(200), run, 8):
        try:
            found.append(outcome())
        except ValueError:
            failed += 1
    assert sorted(found) == [number for number in range(200) if number % 7] and failed == 29
