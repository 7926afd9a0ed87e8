"""RxNorm in RRF: names, term types, relations in their direction, attributes."""

from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.rxnorm import RxNorm
from fhir_server.terminology.systems.held import Held
from tests.unit.terminology.loaders.reading import designations, held, properties, selected


def conso(concept: str, type_: str, name: str, source: str = "RXNORM", suppress: str = "N") -> str:
    """A line of RXNCONSO."""
    cells = [
        concept,
        "ENG",
        "",
        "",
        "",
        "",
        "",
        "1",
        "",
        concept,
        "",
        source,
        type_,
        concept,
        name,
        "",
        suppress,
        "",
        "",
    ]
    return "|".join(cells) + "\n"


FILES = {
    "RXNCONSO.RRF": "".join(
        (
            conso("1", "IN", "joyine"),
            conso("2", "PSN", "joyine tablet, 5 mg"),
            conso("2", "SCD", "joyine 5 MG Oral Tablet"),
            conso("2", "SY", "joy tab"),
            conso("2", "CD", "JOYINE TABLET", source="OTHER"),
            conso("3", "BN", "Oldjoy", suppress="O"),
            conso("9", "XX", "not of RxNorm", source="OTHER"),
        )
    ),
    # the second concept has_ingredient the first
    "RXNREL.RRF": "1||CUI|RO|2||CUI|has_ingredient|7||RXNORM|||N|||\n",
    "RXNSAT.RRF": "2|||1|AUI|2|||RXN_STRENGTH|RXNORM|5 MG|N||\n2|||1|AUI|2|||NDC|OTHER|123|N||\n",
    "RXNSTY.RRF": "1|T121|A1|Pharmacologic Substance|AT1||\n",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder: Path = tmp_path_factory.mktemp("rxnorm")
    release = folder / "RxNorm_full_01052026" / "rrf"
    release.mkdir(parents=True)
    for name, text in FILES.items():
        (release / name).write_text(text)
    return held(RxNorm(folder), folder / "held")


def test_the_version_is_that_of_the_folder(system: Held) -> None:
    assert system.header.version == "01052026"


def test_the_display_is_what_a_concept_is_and_not_a_synonym(system: Held) -> None:
    found = system.concept("2")
    assert found is not None
    assert found.display == "joyine 5 MG Oral Tablet"
    assert [use for _, use, _ in designations(system, "2")] == ["PSN", "SCD", "SY"]


def test_other_vocabularies_are_left_out(system: Held) -> None:
    assert list(system.codes()) == ["1", "2", "3"]
    assert system.concept("9") is None


def test_a_concept_of_which_all_names_are_suppressed_is_inactive(system: Held) -> None:
    assert selected(system, "inactive", "=", "true") == ["3"]


def test_relations_run_from_the_second_concept_to_the_first(system: Held) -> None:
    assert properties(system, "2")["has_ingredient"] == ["1"]
    assert "has_ingredient" not in properties(system, "1")


@pytest.mark.parametrize(
    ("property_", "value", "codes"),
    [
        ("TTY", "SCD", ["2"]),
        ("STY", "Pharmacologic Substance", ["1"]),
        ("has_ingredient", "1", ["2"]),
        ("has_ingredient", "CUI:1", ["2"]),
        ("RXN_STRENGTH", "5 MG", ["2"]),
    ],
)
def test_filters_of_rxnorm(system: Held, property_: str, value: str, codes: list[str]) -> None:
    assert selected(system, property_, "=", value) == codes


def test_a_property_that_no_concept_has_is_refused(system: Held) -> None:
    with pytest.raises(BadValue, match="has no property 'NDC'"):
        selected(system, "NDC", "=", "123")


def test_a_short_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "RXNCONSO.RRF").write_text(conso("1", "IN", "a") + "2|ENG|\n")
    with pytest.raises(BadValue, match=r"RXNCONSO\.RRF: line 2 has 3 columns"):
        held(RxNorm(tmp_path, "1"), tmp_path / "held")
