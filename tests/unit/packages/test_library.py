"""A library finds resources in layers, and a changed one leaves the one before as it was."""

import json
from typing import Any

from fhir_server.model.keys import ResourceKey
from fhir_server.packages import Entry, Library
from tests.unit.packages.builders import value_set

URL = "http://example.org/ValueSet/v"


def entry(name: str, url: str, version: str = "", source: str = "") -> Entry:
    return Entry(name, "ValueSet", url, version, b"{}", source)


def put(library: Library, id_: str, **elements: Any) -> Library:
    content = {"resourceType": "ValueSet", "id": id_, **elements}
    return library.changed([(ResourceKey("ValueSet", id_), json.dumps(content).encode())])


def name_of(library: Library, canonical: str) -> str | None:
    found = library.find("ValueSet", canonical)
    return found and found.name


def test_what_is_above_hides_what_is_below_unless_a_version_is_asked_for() -> None:
    below = Library([entry("below/1", URL, "1"), entry("below/2", URL, "2")])
    above = put(Library((), below), "mine", url=URL, version="1.5")
    assert name_of(above, URL) == "ValueSet/mine"
    assert name_of(above, f"{URL}|2") == "below/2"
    assert name_of(above, f"{URL}|3") is None
    assert [each.name for each in above.versions("ValueSet", URL)] == ["below/2", "ValueSet/mine", "below/1"]
    assert [each.name for each in above.all("ValueSet")] == ["ValueSet/mine", "below/1", "below/2"]
    assert [each.name for each in above.own("ValueSet")] == ["ValueSet/mine"]


def test_a_write_shows_in_the_new_library_alone() -> None:
    before = put(Library(), "a", url=URL, version="1")
    after = put(before, "b", url=URL, version="2")
    assert (name_of(before, URL), name_of(after, URL)) == ("ValueSet/a", "ValueSet/b")
    assert name_of(before, "ValueSet/b") is None


def test_a_resource_may_change_its_url_and_go() -> None:
    first = put(put(Library(), "a", url=URL, version="1"), "b", url=URL, version="2")
    moved = put(first, "b", url="urn:other")
    assert (name_of(moved, URL), name_of(moved, "urn:other")) == ("ValueSet/a", "ValueSet/b")
    gone = moved.changed([(ResourceKey("ValueSet", "b"), b""), (ResourceKey("ValueSet", "a"), b"")])
    assert [name_of(gone, each) for each in (URL, "urn:other", "ValueSet/a")] == [None, None, None]
    assert name_of(first, URL) == "ValueSet/b"


def test_deleting_what_is_not_there_is_no_error() -> None:
    assert list(Library().changed([(ResourceKey("ValueSet", "x"), b"")]).all("ValueSet")) == []


def test_other_types_are_ignored() -> None:
    assert list(Library().changed([(ResourceKey("Patient", "x"), b"{}")]).all("Patient")) == []


def test_misshapen_resources_have_no_url() -> None:
    library = put(put(Library(), "a", url=7, version=[]), "b")
    assert [(each.url, each.version) for each in library.all("ValueSet")] == [("", ""), ("", "")]
    assert name_of(library, "ValueSet/a") == "ValueSet/a"


def test_the_same_entries_lie_over_another_library() -> None:
    mine = put(Library((), Library([entry("old", "urn:old")])), "a", url=URL)
    moved = mine.over(Library([entry("new", "urn:new")]))
    assert [name_of(moved, each) for each in (URL, "urn:old", "urn:new")] == ["ValueSet/a", None, "new"]
    assert put(moved, "c", url="urn:c") is not moved
    assert name_of(mine, "urn:old") == "old"


def test_many_writes_one_by_one_stay_quick() -> None:
    """As a load does them. Sorting all anew at each write would take minutes."""
    library = Library()
    for number in range(2_000):
        library = put(library, f"v{number}", url=f"urn:{number}")
    assert name_of(library, "urn:1999") == "ValueSet/v1999"


def test_a_value_set_of_the_builders_is_found_by_its_url() -> None:
    raw = json.dumps(value_set("v", "x")).encode()
    library = Library().changed([(ResourceKey("ValueSet", "v"), raw)])
    assert name_of(library, f"{URL}|1.0.0") == "ValueSet/v"
