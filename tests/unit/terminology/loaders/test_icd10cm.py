"""ICD-10-CM: the one in the box, and the order file of another year."""

from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Filter
from fhir_server.terminology.loaders import boxed
from fhir_server.terminology.loaders.boxed import IcdTenCm
from fhir_server.terminology.loaders.icd10cm import IcdTenCmOrder
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.store import Store
from tests.unit.terminology.loaders.reading import held, selected


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder: Path = tmp_path_factory.mktemp("icd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxed, "built", lambda: folder / "box")
        assert not boxed.ready(folder / "data")
        path = boxed.ensure(folder / "data")
        assert boxed.ready(folder / "data")
        assert boxed.ensure(folder / "data") == path
    assert path.parent == folder / "box"
    return Held(Store(path))


def test_the_box_has_about_98000_codes(system: Held) -> None:
    assert (system.header.version, system.count()) == ("2026", 98_466)


def test_codes_are_found_in_any_case_and_written_right(system: Held) -> None:
    found = system.concept("e11.9")
    assert found is not None
    assert (found.code, found.display) == ("E11.9", "Type 2 diabetes mellitus without complications")
    assert system.concept("E11.99") is None


def test_codes_stand_in_categories_blocks_and_chapters(system: Held) -> None:
    assert list(system.ancestors("E11.65")) == ["4", "E08-E13", "E11", "E11.6"]
    assert system.parents("S72.001A") == ["S72.001"]
    assert len(list(system.roots())) == 22


def test_chapters_and_blocks_are_not_to_be_chosen(system: Held) -> None:
    assert [(system.concept(code) or object).abstract for code in ("4", "E08-E13", "E11")] == [True, True, False]  # type: ignore[attr-defined]


def test_a_value_set_of_all_diabetes(system: Held) -> None:
    diabetes = Filter("concept", "is-a", "E08-E13")
    assert system.count([diabetes]) == len(list(system.select([diabetes])))
    assert system.matches("E11.9", diabetes)
    assert not system.matches("I10", diabetes)
    assert next(system.select([diabetes], "type 2 without compl")) == "E11.9"


def test_where_the_installation_cannot_be_written_the_data_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(boxed, "built", lambda: tmp_path / "file" / "box")
    monkeypatch.setattr(IcdTenCm, "_rows", lambda self: iter([(0, "1", "Chapter"), (1, "A00", "Category")]))
    assert boxed.ensure(tmp_path / "data").parent == tmp_path / "data"


def order_line(number: int, code: str, valid: int, title: str) -> str:
    return f"{number:05} {code:<7} {valid} {title[:60]:<60} {title}\n"


def test_the_order_file_of_another_year(tmp_path: Path) -> None:
    lines = [("A00", 0, "Rain"), ("A000", 1, "Rain by day"), ("S72", 0, "Fall"), ("S72XXXA", 1, "Fall, first time")]
    text = "".join(order_line(number, *line) for number, line in enumerate(lines, start=1))
    (tmp_path / "icd10cm_order_2027.txt").write_text(text)
    system = held(IcdTenCmOrder(tmp_path), tmp_path / "held")
    assert system.header.version == "2027"
    assert list(system.codes()) == ["A00", "A00.0", "S72", "S72.XXXA"]
    assert selected(system, "concept", "is-a", "S72") == ["S72", "S72.XXXA"]


def test_a_line_of_another_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "icd10cm_order_2027.txt").write_text(order_line(1, "A00", 0, "Rain") + "A000 Rain by day\n")
    with pytest.raises(BadValue, match="line 2 is not one of an order file"):
        IcdTenCmOrder(tmp_path)
