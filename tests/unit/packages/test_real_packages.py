"""Four published packages load, side by side, and every resource in them is found by its canonical."""

import time
from functools import cache
from pathlib import Path

import pytest

from fhir_server.packages import Library, Package, core_library, examples_of, read_package
from fhir_server.packages.dependencies import missing
from tests.shared_data import shared_data

FOLDER = shared_data("packages")
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
SEEN = {
    "davinci-pas-2.2.1": ("hl7.fhir.us.davinci-pas#2.2.1", 81, 24, 1, 0, 47),
    "ips-1.1.0": ("hl7.fhir.uv.ips#1.1.0", 36, 60, 1, 4, 40),
    "us-core-6.1.0": ("hl7.fhir.us.core#6.1.0", 59, 36, 5, 0, 183),
    "us-core-7.0.0": ("hl7.fhir.us.core#7.0.0", 63, 29, 5, 0, 214),
}


@cache
def package(name: str) -> Package:
    return read_package((FOLDER / f"{name}.tgz").read_bytes())


@cache
def library() -> Library:
    return Library((entry for name in SEEN for entry in package(name).entries), core_library())


@pytest.mark.parametrize("name", SEEN)
def test_it_holds_what_was_published(name: str) -> None:
    counts = package(name).counts()
    types = ("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap")
    examples = sum(1 for _ in examples_of((FOLDER / f"{name}.tgz").read_bytes()))
    assert (package(name).id, *(counts.get(type_, 0) for type_ in types), examples) == SEEN[name]
    assert package(name).licence == "CC0-1.0"
    assert package(name).guide.startswith(f"{package(name).canonical}/ImplementationGuide/")


@pytest.mark.parametrize("name", SEEN)
def test_each_resource_is_found_by_url_and_version(name: str) -> None:
    for entry in package(name).entries:
        found = library().find(entry.type, f"{entry.url}|{entry.version}")
        assert found is entry, entry.name
        assert library().find(entry.type, entry.url) is not None
        assert library().find(entry.type, entry.url, source=entry.source) is entry
        resource = entry.parse()
        assert (resource["resourceType"], resource["url"]) == (entry.type, entry.url)
        assert "text" not in resource


def test_two_versions_of_us_core_stand_side_by_side() -> None:
    def version(canonical: str) -> str | None:
        found = library().find("StructureDefinition", canonical)
        return None if found is None else found.parse()["version"]

    assert [version(each) for each in (US_CORE, f"{US_CORE}|6.1.0", f"{US_CORE}|7.0.0")] == ["7.0.0", "6.1.0", "7.0.0"]
    assert version(f"{US_CORE}|5.0.1") is None
    assert [entry.version for entry in library().versions("StructureDefinition", US_CORE)] == ["7.0.0", "6.1.0"]


def test_what_they_build_on_in_r4_is_found_below() -> None:
    for name in SEEN:
        for entry in package(name).entries:
            base = entry.parse().get("baseDefinition", "")
            if base.startswith("http://hl7.org/fhir/StructureDefinition/") and not base.endswith("/Base"):  # of R5
                assert library().find("StructureDefinition", base) is not None, base


def test_dependencies_between_them_are_seen() -> None:
    pas = package("davinci-pas-2.2.1")
    alone, among = missing(pas, [pas]), missing(pas, [package(name) for name in SEEN])
    assert set(alone) - set(among) == {"hl7.fhir.us.core#7.0.0"}
    assert "hl7.terminology.r4#7.1.0" in among


@pytest.mark.parametrize("name", SEEN)
def test_reading_takes_well_under_a_second(name: str) -> None:
    data = Path(FOLDER / f"{name}.tgz").read_bytes()
    began = time.perf_counter()
    read_package(data)
    assert time.perf_counter() - began < 3.0
