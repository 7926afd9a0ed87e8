"""Texts that are alike are told from those that are not."""

import pytest
from fhir_match.blocking import mistaken
from fhir_match.comparison import levels
from fhir_match.features import features
from fhir_match.settings import MatchSettings
from fhir_match.text import distance, folded, similarity, sound
from fhir_match.weights import Weights
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "MULLER"),
        ("O'Brien", "obrien"),
        ("Smith-Jones", "smith jones"),
        ("Straße", "strasse"),
        ("Łucja", "lucja"),
    ],
)
def test_case_accents_and_hyphens_do_not_count(one: str, other: str) -> None:
    assert folded(one) == folded(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("Philipps", "Filips"), ("Meier", "Mayer"), ("Schmidt", "Schmitt"), ("Knight", "Night"), ("Kowalski", "Cowalsky"),
     ("Fischer", "Vischer"), ("Schwartz", "Schwarz"), ("Catherine", "Katherine")],
)  # fmt: skip
def test_names_that_sound_alike_have_one_key(one: str, other: str) -> None:
    assert sound(one) == sound(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("Smith", "Jones"), ("Weber", "Huber"), ("Anna", "Paul"), ("Keller", "Heller")]
)
def test_names_that_do_not_have_others(one: str, other: str) -> None:
    assert sound(one) != sound(other)


def test_similarity_is_that_of_the_published_tables() -> None:
    # W. E. Winkler's own examples
    assert similarity("martha", "marhta") == pytest.approx(0.9611, abs=0.0001)
    assert similarity("dwayne", "duane") == pytest.approx(0.84, abs=0.0001)
    assert similarity("dixon", "dicksonx") == pytest.approx(0.8133, abs=0.0001)


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("anna", "anna", 0),
        ("anna", "ana", 1),
        ("anna", "nana", 1),
        ("anna", "annab", 1),
        ("anna", "otto", 3),
        ("", "ab", 2),
    ],
)
def test_distance_counts_edits_and_swaps(one: str, other: str, steps: int) -> None:
    assert distance(one, other) == steps


@given(NAMES, NAMES)
def test_comparing_goes_both_ways(one: str, other: str) -> None:
    assert similarity(one, other) == pytest.approx(similarity(other, one))
    assert distance(one, other) == distance(other, one)
    assert similarity(one, one) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | NAMES, lambda below: st.lists(below) | st.dictionaries(NAMES, below)
    )
)
def test_no_patient_is_too_misshapen_to_be_looked_at(value: object) -> None:
    named = {"name": value, "identifier": value, "telecom": value, "address": value, "link": value}
    assert list(levels(features(named), features(named))) is not None


def test_dates_easily_mistaken_are_dates() -> None:
    found = mistaken("1980-03-12")
    assert {"1980-12-03", "1908-03-12", "1981-03-12", "1990-03-12", "1980-04-12"} <= set(found)
    assert "1980-03-12" not in found
    assert len(found) <= 12
    assert "2020-02-30" not in mistaken("2020-01-30")


def test_a_weight_of_a_level_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"family\.exakt"):
        Weights({"family.exakt": (0.5, 0.1)})


def test_probabilities_of_a_field_come_to_one() -> None:
    from fhir_match.weights import PROBABILITIES

    alternatives = {"birthDate.month", "birthDate.year", "identifier.contradicts"}
    for field in {name.partition(".")[0] for name in PROBABILITIES}:
        rows = [
            both for name, both in PROBABILITIES.items() if name.startswith(f"{field}.") and name not in alternatives
        ]
        if field != "identifier":  # its levels depend on the system
            assert sum(m for m, _ in rows) == pytest.approx(1, abs=0.011), field
            assert sum(u for _, u in rows) == pytest.approx(1, abs=0.011), field


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in MatchSettings.model_fields.values())
