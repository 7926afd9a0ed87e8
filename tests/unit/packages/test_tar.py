"""Archives from strangers: what is broken, hostile or too large is refused, and by the name of the file at fault."""

import contextlib
import gzip
import random
import tarfile
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from fhir_server.packages.tar import DEFAULT_LIMITS, Limits, PackageError, files_of
from tests.unit.packages.builders import tar, tgz

LONG = "package/" + "x" * 150 + ".json"


def read(data: bytes, limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes]:
    return dict(files_of(data, limits, lambda name: name.endswith(".json")))


def test_files_that_are_wanted_come_with_their_content() -> None:
    sent = {"package/a.json": b"{}", "package/other/b.txt": b"no", "package/c.json": b"x" * 100_000, "e.json": b""}
    assert read(tgz(sent)) == {name: content for name, content in sent.items() if name.endswith(".json")}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    "name", ["package/a.json", f"{'d' * 90}/{'e' * 90}.json", "package/ü.json", "./package/b.json"]
)
def test_each_form_of_tar_is_read(form: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarfile, "DEFAULT_FORMAT", form)
    monkeypatch.setattr(tarfile.TarFile, "format", form)
    assert read(tgz({name: b"[1]", "z.json": b"2"})) == {name.removeprefix("./"): b"[1]", "z.json": b"2"}


def test_several_gzip_members_and_zeros_at_the_end_are_one_archive() -> None:
    whole = tar({"a.json": b"1" * 3000})
    packed = gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]) + b"\0" * 100
    assert read(packed) == {"a.json": b"1" * 3000}


def test_folders_are_passed_over() -> None:
    folder = tarfile.TarInfo("package/")
    folder.type = tarfile.DIRTYPE
    assert read(tgz({"package/a.json": b"1"}, folder)) == {"package/a.json": b"1"}


@pytest.mark.parametrize(
    "name", ["../a.json", "package/../../a.json", "/etc/a.json", "package\\..\\a.json", "package/a\n.json"]
)
def test_a_name_that_leads_out_is_refused_though_nothing_is_written(name: str) -> None:
    with pytest.raises(PackageError, match="leads out of the package"):
        read(tgz({name: b"{}"}))


@pytest.mark.parametrize(
    ("kind", "says"),
    [(tarfile.SYMTYPE, "a link"), (tarfile.LNKTYPE, "a link"), (tarfile.CHRTYPE, "no plain"), (tarfile.FIFOTYPE, "no")],
)
def test_links_and_devices_are_refused(kind: bytes, says: str) -> None:
    info = tarfile.TarInfo("package/a.json")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(PackageError, match=rf"package/a\.json is {says}"):
        read(tgz({}, info))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not whole gzip"),
        (b"not gzip at all", "not whole gzip"),
        (gzip.compress(b"short"), "no whole tar"),
        (gzip.compress(b"x" * 5000), "no whole tar|not octal"),
        (tgz({"a.json": b"1" * 50_000})[:-20], "not whole gzip|cut off"),
        (gzip.compress(tar({"a.json": b"1" * 50_000})[:20_000]), r"cut off in a\.json"),
        (gzip.compress(tar({"a.txt": b"1" * 50_000})[:20_000]), "cut off"),
        (tgz({"a.json": b"1" * 50_000})[:100], "not whole gzip|cut off|no whole"),
    ],
    ids=range(8),  # the bytes hold the time, and names of tests must not
)
def test_broken_archives_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        read(data)


def test_a_file_over_its_limit_is_named() -> None:
    with pytest.raises(PackageError, match=r"package/big\.json has 2000 bytes"):
        read(tgz({"package/big.json": b"x" * 2000}), replace(DEFAULT_LIMITS, file=1999))


def test_too_many_files_are_refused() -> None:
    data = tgz({f"{number}.txt": b"" for number in range(11)})
    assert read(data, replace(DEFAULT_LIMITS, files=11)) == {}
    with pytest.raises(PackageError, match="more than 10 files"):
        read(data, replace(DEFAULT_LIMITS, files=10))


@pytest.mark.parametrize("name", ["bomb.json", "bomb.bin"])
def test_a_bomb_is_cut_off_without_taking_its_memory(name: str) -> None:
    bomb = tgz({name: b"\0" * 200_000_000})
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(PackageError, match=r"more than|has 200000000 bytes"):
            read(bomb, Limits(unpacked=50_000_000, file=10_000_000, files=10))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_size_that_is_a_lie_is_refused() -> None:
    """Sizes come as octal digits; the binary form (for 8 GB and more), signs and junk are no sizes here."""
    for field in (b"\x80" + b"\xff" * 11, b"\xff" * 12, b"-0000000001\0", b"99999999999\0", b"77777777777\0"):
        raw = bytearray(tar({"a.json": b"{}"}))
        raw[124:136] = field
        raw[148:156] = b" " * 8
        raw[148:156] = b"%06o\0 " % sum(raw[:512])
        with pytest.raises(PackageError):
            read(gzip.compress(bytes(raw)))


def test_a_header_that_tells_of_endless_names_is_refused() -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = b"x", 500_000_000
    raw = info.tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(PackageError, match="a header is too long"):
        read(gzip.compress(raw + b"\0" * 10_000))


def test_random_damage_ends_in_a_package_error_or_nothing() -> None:
    dice = random.Random(7)
    whole = tar({"a.json": b"{}" * 300, LONG: b"[]", "b.json": b"1"})
    for _ in range(3_000):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with contextlib.suppress(PackageError):
            read(zlib.compress(bytes(damaged), 1, 31) if dice.random() < 0.9 else bytes(damaged))
