"""SNOMED CT in RF2: terms, hierarchy, attributes, reference sets, versions, and releases that are broken."""

import shutil
import zipfile
from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.rf2 import SnomedCt
from fhir_server.terminology.systems.held import Held
from tests.unit.terminology.loaders.reading import designations, held, properties, selected
from tests.unit.terminology.snomed import CODES, CORE, VERSION, write_snapshot


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder: Path = tmp_path_factory.mktemp("rf2")
    return held(SnomedCt(write_snapshot(folder / "release")), folder / "held")


def test_the_version_is_made_of_module_and_date(system: Held) -> None:
    assert (system.header.url, system.header.version) == ("http://snomed.info/sct", VERSION)


def test_the_display_is_the_preferred_term_of_american_english(system: Held) -> None:
    found = system.concept(CODES["colour"])
    assert found is not None
    assert found.display == "color"


def test_a_concept_has_its_descriptions_with_their_types(system: Held) -> None:
    assert designations(system, CODES["dog"]) == [
        ("en", "900000000000003001", "dog (thing)"),
        ("en", "900000000000013009", "dog"),
        ("en", "900000000000013009", "Friend of man"),
        ("de", "900000000000013009", "Köter"),
    ]


def test_a_text_definition_is_the_definition(system: Held) -> None:
    found = system.concept(CODES["cat"])
    assert found is not None
    assert found.definition == "It purrs."


def test_inactive_concepts_are_there_and_say_so(system: Held) -> None:
    assert [(system.concept(CODES[name]) or object).inactive for name in ("old", "dog")] == [True, False]  # type: ignore[attr-defined]


def test_inactive_relationships_are_not_there(system: Held) -> None:
    assert system.parents(CODES["cat"]) == [CODES["animal"]]


def test_attributes_are_properties_by_their_identifiers(system: Held) -> None:
    found = properties(system, CODES["poodle"])
    assert found[CODES["has colour"]] == [CODES["red"]]
    assert found["sufficientlyDefined"] == [True]
    assert found["moduleId"] == [CORE]


def test_filters_on_attributes_modules_and_reference_sets(system: Held) -> None:
    assert selected(system, CODES["has colour"], "=", CODES["black"]) == [CODES["dog"], CODES["cat"]]
    assert selected(system, "concept", "in", CODES["pets"]) == [CODES["dog"], CODES["cat"], CODES["old"]]
    assert len(selected(system, "moduleId", "=", CORE)) == len(CODES) - 1
    assert selected(system, "inactive", "=", "true") == [CODES["old"]]


def test_a_zip_archive_is_read_as_it_was_downloaded(tmp_path: Path) -> None:
    release = write_snapshot(tmp_path / "release")
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        for path in release.rglob("*.txt"):
            archive.write(path, path.relative_to(tmp_path))
    assert held(SnomedCt(tmp_path / "release.zip"), tmp_path / "held").count() == len(CODES)


def test_an_edition_is_named_by_the_module_of_its_own(tmp_path: Path) -> None:
    release = write_snapshot(tmp_path)
    (release / "xsct2_Concept_Snapshot_XX_20260201.txt").write_text(
        "id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n999001\t20260201\t1\t731000124108\tx\n"
    )
    source = SnomedCt(release)
    assert source.header.version == "http://snomed.info/sct/731000124108/version/20260201"
    assert "999001" in list(source.codes())


def test_a_version_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="a version of SNOMED CT is"):
        SnomedCt(write_snapshot(tmp_path), "2026")


def test_a_folder_without_a_release_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="has no concepts of a snapshot in RF2"):
        SnomedCt(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\teffectiveTime\tactive\n1\t2\t3\n", "column is missing"),
        ("id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n1\t2\n", "line 2 has 2 columns, not 5"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    release = write_snapshot(tmp_path / "release")
    target = next(release.rglob("sct2_Concept*"))
    target.write_text(text)
    with pytest.raises(BadValue, match=f"(?s){target.name}.*{message}"):
        held(SnomedCt(release, VERSION), tmp_path / "held")
    assert not list((tmp_path / "held").glob("*"))


def test_a_code_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    release = write_snapshot(tmp_path / "release")
    target = next(release.rglob("sct2_Concept*"))
    shutil.copy(target, target.with_name("sct2_Concept_Snapshot_YY_20260131.txt"))
    with pytest.raises(BadValue, match="is defined twice"):
        held(SnomedCt(release), tmp_path / "held")
