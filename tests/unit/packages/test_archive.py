"""A package is read for what it holds; what cannot be used is refused with the name of the file inside."""

from typing import Any

import pytest

from fhir_server.packages import Library, PackageError, examples_of, read_package
from fhir_server.packages.dependencies import missing
from tests.unit.packages.builders import manifest, package, profile, tgz, value_set

MANIFEST = "package/package.json"


def test_a_package_says_what_it_is() -> None:
    guide = {"resourceType": "ImplementationGuide", "id": "g", "url": "http://example.org/ig", "version": "2.1.0"}
    members = {"canonical": "http://example.org", "title": "Test", "license": "CC0-1.0", "dependencies": {"a.b": "1.0"}}
    data = package("test.package", "2.1.0", guide, profile("p"), value_set("v", "x"), **members)
    found = read_package(data)
    assert (found.id, found.canonical, found.title) == ("test.package#2.1.0", "http://example.org", "Test")
    assert (found.licence, found.dependencies, found.size) == ("CC0-1.0", {"a.b": "1.0"}, len(data))
    assert found.guide == "http://example.org/ig|2.1.0"
    assert found.counts() == {"StructureDefinition": 1, "ValueSet": 1}


def test_resources_keep_all_but_their_narrative() -> None:
    sent = profile("p", contact=[{"name": "x"}])
    (entry,) = read_package(package("a", "1", sent)).entries
    assert entry.parse() == {name: value for name, value in sent.items() if name != "text"}
    assert (entry.name, entry.source) == ("a#1/StructureDefinition/p", "a#1")
    assert (entry.type, entry.url, entry.version) == ("StructureDefinition", sent["url"], "1.0.0")


def test_decimals_keep_their_digits() -> None:
    raw = b'{"resourceType": "CodeSystem", "url": "urn:x", "id": "x", "concept": [ {"v": 1.20 } ]}'
    (entry,) = read_package(tgz({MANIFEST: manifest(), "package/x.json": raw})).entries
    assert b'"v":1.20}' in entry.data


def test_examples_and_other_folders_are_not_in_force_but_examples_can_be_read() -> None:
    files = {
        MANIFEST: manifest(),
        "package/.index.json": b"broken {",
        "package/example/e.json": {"resourceType": "Patient"},
        "package/examples/f.json": b"2",
        "example/g.json": b"3",
        "package/other/o.json": b"broken {",
        "package/example/e.txt": b"",
        "package/xml/p.xml": b"<x/>",
        "package/Patient-x.json": {"resourceType": "Patient", "id": "x"},
        "package/list.json": {"no": "resource"},
        "package/ValueSet-v.json": value_set("v"),
    }
    data = tgz(files)
    assert [entry.name for entry in read_package(data).entries] == ["test.package#1.0.0/ValueSet/v"]
    assert sorted(name for name, _ in examples_of(data)) == [
        "example/g.json",
        "package/example/e.json",
        "package/examples/f.json",
    ]


def test_a_resource_without_id_is_known_by_its_file() -> None:
    data = tgz({MANIFEST: manifest(), "package/some.json": {"resourceType": "ValueSet", "url": "urn:x"}})
    assert [entry.name for entry in read_package(data).entries] == ["test.package#1.0.0/ValueSet/some"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", r"package/x\.json: not valid JSON: Input data was truncated"),
        (b'{\n"a": 1,\n"a": }', r"package/x\.json: .*line 3"),
        (b"[]", r"package/x\.json is not an object"),
        (b'"text"', r"package/x\.json is not an object"),
        (b'{"a": "\xff"}', r"package/x\.json: invalid UTF-8"),
        (b'{"a": 1, "a": 2}', r"package/x\.json: the member 'a' occurs twice"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, r"package/x\.json: nested"),
        (b"[" * 1_000_000, r"package/x\.json: "),
        (b"", r"package/x\.json: "),
    ],
)
def test_broken_json_is_named_with_its_file(content: bytes, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        read_package(tgz({MANIFEST: manifest(), "package/x.json": content}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{]", r"package/package\.json: .*line 1, column 2"),
        (b"[]", "not an object"),
        ({}, "name is ''"),
        (manifest(name="../evil"), r"name is '\.\./evil'"),
        (manifest(name=7), "name is ''"),
        (manifest(version="1/2"), "version is '1/2'"),
        (manifest(version="1.0#2"), "version is"),
        (manifest(fhirVersions=["5.0.0"]), r"is for FHIR 5\.0\.0; this server is FHIR 4\.0\.1"),
        (manifest(fhirVersions=["4.3.0", "3.0.2"]), r"is for FHIR 4\.3\.0, 3\.0\.2"),
        (manifest(fhirVersions=[]), "does not say which FHIR version"),
        (manifest(fhirVersions="4.0.1"), "does not say which FHIR version"),
        ({"name": "a", "version": "1"}, "does not say which FHIR version"),
        ({"name": "a", "version": "1", "dependencies": {"hl7.fhir.r4.core": "4.3.0"}}, r"is for FHIR 4\.3\.0"),
    ],
)
def test_a_manifest_that_will_not_do_is_refused_with_the_reason(content: Any, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        read_package(tgz({MANIFEST: content}))


@pytest.mark.parametrize(
    "members",
    [
        {"fhirVersions": ["4.0.0"]},
        {"fhirVersions": ["4.0"]},
        {"fhirVersions": ["5.0.0", "4.0.1"]},
        {"fhirVersions": None, "fhir-version-list": ["4.0.1"]},
        {"fhirVersions": None, "dependencies": {"hl7.fhir.core": "4.0.1"}},
    ],
)
def test_each_way_to_say_4_0_is_understood(members: dict[str, Any]) -> None:
    content = {name: value for name, value in manifest(**members).items() if value is not None}
    assert read_package(tgz({MANIFEST: content})).name == "test.package"


def test_an_archive_that_is_no_package_is_refused() -> None:
    with pytest.raises(PackageError, match=r"package/package\.json is missing"):
        read_package(tgz({"other/package.json": manifest()}))


def test_reading_again_what_is_known_to_be_good_gives_the_same() -> None:
    data = package("a", "1", profile("p"), value_set("v", "x"))
    first, again = read_package(data), read_package(data, known_good=True)
    assert (first.id, first.sha256, first.entries) == (again.id, again.sha256, again.entries)


def test_dependencies_that_are_not_there_are_named() -> None:
    needs = {
        "hl7.fhir.r4.core": "4.0.1",
        "there": "1.0.0",
        "other.version": "2.0.0",
        "nowhere": "1.0.0",
        "any.patch": "1.0.x",
        "no.patch": "1.1.x",
        "newest": "latest",
        "alias@npm:really": "3.0.0",
        "odd": 7,
    }
    asking = read_package(package("asking", "1", dependencies=needs))
    there = {"there": "1.0.0", "other.version": "1.0.0", "any.patch": "1.0.4", "no.patch": "1.10.0", "newest": "9"}
    present = [read_package(package(name, version)) for name, version in there.items()]
    assert missing(asking, [asking, *present]) == [
        "no.patch#1.1.x (there is 1.10.0)",
        "nowhere#1.0.0",
        "other.version#2.0.0 (there is 1.0.0)",
        "really#3.0.0",
    ]


def test_two_versions_of_a_package_stand_side_by_side() -> None:
    url = "http://example.org/StructureDefinition/p"
    old, new = (read_package(package("a", version, profile("p", version=version))) for version in ("1.9.0", "1.10.0"))
    library = Library((*old.entries, *new.entries))

    def found(canonical: str, source: str = "") -> str | None:
        entry = library.find("StructureDefinition", canonical, source=source)
        return entry and entry.source

    assert found(url) == "a#1.10.0"
    assert found(f"{url}|1.9.0") == "a#1.9.0"
    assert found(url, "a#1.9.0") == "a#1.9.0"
    assert found(f"{url}|1.10.0", "a#1.9.0") == "a#1.10.0"
    assert found(url, "elsewhere#1") == "a#1.10.0"
    assert found(f"{url}|2") is None
