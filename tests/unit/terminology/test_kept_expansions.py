"""Expansions on disk: used again after a restart, never after a change."""

from pathlib import Path
from typing import Any

import pytest

from fhir_server.terminology import Terminology
from fhir_server.terminology.expand import expand
from fhir_server.terminology.expansion import Expansion
from fhir_server.terminology.kept_expansions import KeptExpansions
from fhir_server.terminology.requests import ExpandRequest
from tests.unit.terminology.builders import code_system, concept, library, parameters, value_set

Json = dict[str, Any]
SYSTEM = code_system("s", "urn:s", *(concept(str(i)) for i in range(30)), version="1")
SET = value_set("x", {"system": "urn:s"}, {"system": "urn:s", "concept": [{"code": "3", "display": "Three"}]})
IMPORT = value_set("i", {"valueSet": ["urn:vs:x"]})


def service(folder: Path, *resources: Json) -> Terminology:
    """A service as after a start."""
    return Terminology(library(*resources), kept=KeptExpansions(folder / "expansions", least=10))


def shown(terms: Terminology, url: str = "urn:vs:i", **asked: Any) -> Json:
    """The expansion without what differs every time."""
    found: Json = expand(terms, ExpandRequest.of(parameters(url=url, **asked)))["expansion"]
    return {name: value for name, value in found.items() if name not in ("identifier", "timestamp")}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The value sets that are really expanded."""
    made: list[str] = []
    original = Expansion.codes

    def codes(self: Expansion, composition: Any, within: Any = ()) -> Any:
        made.append(composition.url)
        return original(self, composition, within)

    monkeypatch.setattr(Expansion, "codes", codes)
    return made


def test_an_expansion_is_the_same_after_a_restart_and_not_made_again(tmp_path: Path, counted: list[str]) -> None:
    first = shown(service(tmp_path, SYSTEM, SET, IMPORT), includeDesignations=True)
    assert counted == ["urn:vs:i", "urn:vs:x"]
    assert shown(service(tmp_path, SYSTEM, SET, IMPORT), includeDesignations=True) == first
    assert len(counted) == 2
    assert first["total"] == 30
    assert [item["name"] for item in first["parameter"]].count("used-valueset") == 1


@pytest.mark.parametrize("changed", ["system", "import", "top"])
def test_whatever_it_rests_on_may_change(tmp_path: Path, changed: str) -> None:
    shown(service(tmp_path, SYSTEM, SET, IMPORT))
    system, set_, top = SYSTEM, SET, IMPORT
    if changed == "system":
        system = code_system("s", "urn:s", *(concept(str(i)) for i in range(31)), version="1")
    elif changed == "import":
        set_ = value_set("x", {"system": "urn:s"}, exclude=[{"system": "urn:s", "concept": [{"code": "3"}]}])
    else:
        top = value_set("i", {"valueSet": ["urn:vs:x"]}, exclude=[{"system": "urn:s", "concept": [{"code": "4"}]}])
    assert shown(service(tmp_path, system, set_, top))["total"] == {"system": 31, "import": 29, "top": 29}[changed]


def test_a_later_version_of_what_is_not_pinned_counts(tmp_path: Path) -> None:
    shown(service(tmp_path, SYSTEM, SET, IMPORT))
    later = code_system("s2", "urn:s", concept("9"), concept("new"), version="2")
    found = shown(service(tmp_path, SYSTEM, later, SET, IMPORT))
    assert [item["code"] for item in found["contains"]] == ["9", "new"]


def test_a_value_set_of_the_request_is_known_by_what_it_says(tmp_path: Path, counted: list[str]) -> None:
    terms = service(tmp_path, SYSTEM)
    less = value_set("x", {"system": "urn:s"}, exclude=[{"system": "urn:s", "concept": [{"code": "3"}]}])
    totals = [expand(terms, ExpandRequest.of(parameters(valueSet=each)))["expansion"]["total"] for each in (SET, less)]
    assert totals == [30, 29]
    expand(terms, ExpandRequest.of(parameters(valueSet=SET, count=2)))
    assert len(counted) == 2


def test_small_expansions_leave_no_file(tmp_path: Path) -> None:
    terms = service(tmp_path, SYSTEM, SET, value_set("small", {"system": "urn:s", "concept": [{"code": "3"}]}))
    shown(terms, "urn:vs:small")
    assert not (tmp_path / "expansions").exists()


def test_a_broken_file_and_a_folder_that_is_gone_do_no_harm(tmp_path: Path) -> None:
    shown(service(tmp_path, SYSTEM, SET, IMPORT))
    for file in (tmp_path / "expansions").iterdir():
        file.write_bytes(b"rubbish")
    assert shown(service(tmp_path, SYSTEM, SET, IMPORT))["total"] == 30
    assert shown(service(tmp_path / "nowhere" / "else", SYSTEM, SET, IMPORT))["total"] == 30
    assert not (tmp_path / "nowhere").exists()
