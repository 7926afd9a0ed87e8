"""Folders of held code systems: versions, editions, new files, broken files, value sets that a URL says in full."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fhir_server.terminology.code_system import Header
from fhir_server.terminology.loaders.rf2 import SnomedCt
from fhir_server.terminology.systems import folder as module
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.folder import HeldSystems
from fhir_server.terminology.systems.source import Plain, SourceConcept
from tests.unit.terminology.snomed import CODES, VERSION, write_snapshot

SNOMED = "http://snomed.info/sct"


class One(Plain):
    """A code system of some codes."""

    def __init__(self, version: str, *codes: str, url: str = "urn:one", value_set: str = "") -> None:
        self.header = Header(url, version=version, value_set=value_set)
        self._codes = codes or ("a",)

    def codes(self) -> Iterator[str]:
        return iter(self._codes)

    def concepts(self) -> Iterator[SourceConcept]:
        return (SourceConcept(code) for code in self._codes)


@pytest.fixture(autouse=True)
def _always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    systems = HeldSystems(tmp_path / "none")
    assert systems.find("urn:one") is None
    assert list(systems.urls()) == []


def test_of_several_versions_the_latest_is_found_and_numbers_count_as_numbers(tmp_path: Path) -> None:
    for version in ("1.9", "1.10", "1.2"):
        build(One(version), tmp_path)
    systems = HeldSystems(tmp_path)
    found, older = systems.find("urn:one"), systems.find("urn:one", "1.2")
    assert found is not None
    assert older is not None
    assert (found.header.version, older.header.version) == ("1.10", "1.2")
    assert systems.versions("urn:one") == ["1.10", "1.9", "1.2"]
    assert systems.find("urn:one", "2") is None


def test_what_is_loaded_replaced_or_removed_is_noticed(tmp_path: Path) -> None:
    systems = HeldSystems(tmp_path)
    before = systems.generation
    path = build(One("1"), tmp_path)
    first = systems.find("urn:one")
    assert first is not None
    assert first.concept("b") is None
    assert systems.find("urn:one") is first
    loaded = systems.generation
    build(One("1", "a", "b"), tmp_path)
    second = systems.find("urn:one")
    assert second is not None
    assert second.concept("b") is not None
    # whoever is in the middle of something goes on with what it had, in new threads too
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: list(first.codes()), range(100))) == [["a"]] * 100
        assert list(pool.map(lambda _: list(second.codes()), range(100))) == [["a", "b"]] * 100
    replaced = systems.generation
    path.unlink()
    assert systems.find("urn:one") is None
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: list(second.codes()), range(100))) == [["a", "b"]] * 100
    assert before < loaded < replaced < systems.generation


def test_folders_are_looked_at_once_a_second_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY", 1_000.0)
    systems = HeldSystems(tmp_path)
    assert systems.find("urn:one") is None
    build(One("1"), tmp_path)
    assert systems.find("urn:one") is None
    assert HeldSystems(tmp_path).find("urn:one") is not None


def test_a_broken_file_is_left_out_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(One("1"), tmp_path)
    (tmp_path / "broken.codes").write_bytes(b"nothing")
    systems = HeldSystems(tmp_path)
    assert systems.find("urn:one") is not None
    assert list(systems.urls()) == ["urn:one"]
    assert "broken.codes is not the file of a code system" in caplog.text


def test_what_builders_left_unfinished_is_not_in_force_and_is_swept(tmp_path: Path) -> None:
    left = tmp_path / f".urn-one.codes.{os.getpid()}.building"
    left.write_bytes(b"half")
    assert HeldSystems(tmp_path).find("urn:one") is None
    build(One("1"), tmp_path)
    assert not left.exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".codes"]


def test_the_first_of_several_folders_wins(tmp_path: Path) -> None:
    build(One("1", "a"), tmp_path / "own")
    build(One("1", "b"), tmp_path / "box")
    systems = HeldSystems(tmp_path / "own", tmp_path / "box")
    found = systems.find("urn:one")
    assert found is not None
    assert systems.versions("urn:one") == ["1"]
    assert found.concept("a") is not None


def test_the_value_set_of_all_codes_is_that_of_the_system(tmp_path: Path) -> None:
    build(One("1", value_set="urn:one:vs"), tmp_path)
    found = HeldSystems(tmp_path).value_set("urn:one:vs")
    assert found is not None
    assert found["compose"]["include"] == [{"system": "urn:one"}]
    assert HeldSystems(tmp_path).value_set("") is None


@pytest.fixture(scope="module")
def snomed(tmp_path_factory: pytest.TempPathFactory) -> HeldSystems:
    folder: Path = tmp_path_factory.mktemp("editions")
    for date in ("20250731", "20260131"):
        build(SnomedCt(write_snapshot(folder / date, date)), folder)
    return HeldSystems(folder)


def test_an_edition_stands_for_its_latest_version(snomed: HeldSystems) -> None:
    edition = VERSION.split("/version/")[0]
    for asked in ("", edition, VERSION):
        found = snomed.find(SNOMED, asked)
        assert found is not None
        assert found.header.version == VERSION
    older = snomed.find(SNOMED, f"{edition}/version/20250731")
    assert older is not None
    assert older.header.version != VERSION
    assert snomed.find(SNOMED, "http://snomed.info/sct/731000124108") is None


@pytest.mark.parametrize(
    ("query", "filter_"),
    [
        ("", None),
        (f"=isa/{CODES['dog']}", ("concept", "is-a", CODES["dog"])),
        ("=refset", ("constraint", "=", "< 900000000000455006")),
        (f"=refset/{CODES['pets']}", ("concept", "in", CODES["pets"])),
        (f"=ecl/<<{CODES['dog']}", ("constraint", "=", f"<<{CODES['dog']}")),
        (f"=ecl/%3C%3C%20{CODES['dog']}", ("constraint", "=", f"<< {CODES['dog']}")),
    ],
)
@pytest.mark.parametrize("version", ["", "/900000000000207008", VERSION.removeprefix(SNOMED)])
def test_implicit_value_sets_of_snomed(
    snomed: HeldSystems, query: str, filter_: tuple[str, str, str] | None, version: str
) -> None:
    url = f"{SNOMED}{version}?fhir_vs{query}"
    found = snomed.value_set(url)
    assert found is not None
    (include,) = found["compose"]["include"]
    assert found["url"] == url
    assert include.get("version", "") == (SNOMED + version if version else "")
    wanted = [dict(zip(("property", "op", "value"), filter_, strict=True))] if filter_ else None
    assert include.get("filter") == wanted


@pytest.mark.parametrize(
    "url",
    [
        *(f"{SNOMED}?fhir_vs=isa/dog", f"{SNOMED}?fhir_vs=other", f"{SNOMED}?other", SNOMED, f"{SNOMED}/1?fhir_vs"),
        *("http://loinc.org/vs", "urn:other"),
    ],
)
def test_other_urls_are_no_implicit_value_sets(snomed: HeldSystems, url: str) -> None:
    assert snomed.value_set(url) is None
