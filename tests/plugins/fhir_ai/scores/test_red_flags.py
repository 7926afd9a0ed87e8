"""Red flags and danger signs: which finding makes a case urgent, for whom, and who says so."""

import re

import pytest
from fhir_ai.scores.red_flags import SYMPTOM_RULES, VITAL_RULES, Findings, RedFlag, red_flags
from fhir_ai.scores.symptoms import SYMPTOMS, keys_of
from fhir_ai.scores.vocabulary import VOCABULARY
from hypothesis import given
from hypothesis import strategies as st

SNOMED = "http://snomed.info/sct|"
ICD10 = "http://hl7.org/fhir/sid/icd-10|"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm|"


def _fired(**findings: object) -> dict[str, int]:
    return {flag.name: flag.acuity for flag in red_flags(Findings(**findings))}  # type: ignore[arg-type]


def test_nothing_fires_for_nothing() -> None:
    assert red_flags(Findings(age_years=40)) == ()


def test_chest_pain_fires_by_key_by_snomed_and_by_icd_10() -> None:
    for said in (
        {"keys": frozenset({"chest-pain"})},
        {"codes": frozenset({SNOMED + "29857009"})},
        {"codes": frozenset({ICD10 + "R07.4"})},
        {"codes": frozenset({ICD10_CM + "R07.89"})},
    ):
        assert _fired(age_years=50, **said) == {"chest-pain": 2}


def test_pain_in_the_throat_is_no_chest_pain() -> None:
    assert _fired(age_years=50, codes=frozenset({ICD10 + "R07.0"})) == {}


def test_code_of_another_system_says_nothing() -> None:
    assert keys_of("http://example.org|29857009") is None
    assert keys_of("R07.4") is None
    assert keys_of("http://hl7.org/fhir/sid/icd-10|") is None


def test_because_names_the_finding_and_its_code() -> None:
    flag = red_flags(Findings(age_years=50, codes=frozenset({SNOMED + "410429000"})))[0]
    assert flag.acuity == 1
    assert flag.because == "Cardiac arrest (http://snomed.info/sct|410429000)"
    assert flag.source.startswith("WHO")


def test_fever_alone_is_no_red_flag_of_an_adult_but_is_with_a_stiff_neck() -> None:
    assert _fired(age_years=30, keys=frozenset({"fever"})) == {}
    assert _fired(age_years=30, keys=frozenset({"fever", "neck-stiffness"})) == {"fever-and-stiff-neck": 2}


def test_danger_signs_of_imci_are_of_children_from_2_months_to_5_years() -> None:
    for age, expected in ((0.1, {"unable-to-drink": 1}), (0.5, {"unable-to-drink": 2}), (6.0, {}), (40.0, {})):
        assert _fired(age_years=age, keys=frozenset({"unable-to-drink"})) == expected, age


def test_convulsion_is_immediate_in_a_child_and_very_urgent_in_an_adult() -> None:
    assert _fired(age_years=3, keys=frozenset({"convulsion"})) == {"convulsion": 1}
    assert _fired(age_years=30, keys=frozenset({"convulsion"})) == {"convulsion": 2}


@pytest.mark.parametrize(
    ("age", "rate", "fires"),
    [
        (0.1, 59, False),
        (0.1, 60, True),
        (0.5, 49, False),
        (0.5, 50, True),
        (2, 39, False),
        (2, 40, True),
        (5, 60, False),
    ],
)
def test_fast_breathing_has_the_limits_of_imci(age: float, rate: float, fires: bool) -> None:
    assert bool(_fired(age_years=age, vitals={"respiratory_rate": rate})) is fires


def test_young_infant_is_urgent_with_fever_and_immediate_when_cold() -> None:
    assert _fired(age_years=0.05, vitals={"temperature": 38.0}) == {"infant-fever": 2}
    assert _fired(age_years=0.05, vitals={"temperature": 35.4}) == {"infant-hypothermia": 1}
    assert _fired(age_years=0.05, vitals={"temperature": 35.5}) == {}


def test_danger_signs_of_pregnancy_fire_only_in_pregnancy() -> None:
    signs = frozenset({"visual-disturbance", "severe-headache", "vaginal-bleeding"})
    assert _fired(age_years=28, keys=signs) == {}
    fired = _fired(age_years=28, pregnant=True, keys=signs)
    assert set(fired.values()) == {2}
    assert len(fired) == 3


def test_severe_hypertension_in_pregnancy_is_160_or_110() -> None:
    assert _fired(age_years=28, pregnant=True, vitals={"systolic": 159, "diastolic": 109}) == {}
    assert len(_fired(age_years=28, pregnant=True, vitals={"systolic": 160, "diastolic": 110})) == 2
    assert _fired(age_years=28, vitals={"systolic": 180}) == {}


def test_convulsion_in_pregnancy_is_immediate() -> None:
    assert _fired(age_years=28, pregnant=True, codes=frozenset({ICD10 + "R56.8"}))["pregnancy-and-convulsion"] == 1


def test_unknown_age_fires_the_rules_of_adults_and_none_of_children() -> None:
    assert _fired(keys=frozenset({"chest-pain", "unable-to-drink"})) == {"chest-pain": 2}


@given(
    keys=st.frozensets(st.sampled_from(sorted(SYMPTOMS))),
    more=st.frozensets(st.sampled_from(sorted(SYMPTOMS))),
    age=st.none() | st.floats(0, 100),
    pregnant=st.booleans(),
)
def test_more_findings_never_take_a_red_flag_away(
    keys: frozenset[str], more: frozenset[str], age: float | None, pregnant: bool
) -> None:
    few = _fired(age_years=age, pregnant=pregnant, keys=keys)
    many = _fired(age_years=age, pregnant=pregnant, keys=keys | more)
    assert set(few) <= set(many)
    assert min(many.values(), default=9) <= min(few.values(), default=9)


def test_most_urgent_flag_comes_first() -> None:
    flags = red_flags(Findings(age_years=50, keys=frozenset({"chest-pain", "shock", "syncope"})))
    assert [flag.acuity for flag in flags] == [1, 2, 2]
    assert isinstance(flags[0], RedFlag)


def test_every_rule_has_a_known_symptom_a_source_and_an_acuity_of_1_or_2() -> None:
    for rule in (*SYMPTOM_RULES, *VITAL_RULES):
        assert rule.acuity in (1, 2)
        assert re.search(r"https://\S+", rule.source)
    assert {key for rule in SYMPTOM_RULES for key in rule.needs} == set(SYMPTOMS)
    assert {rule.vital for rule in VITAL_RULES} <= set(VOCABULARY)


def _check_digit_holds(code: str) -> bool:
    """SNOMED CT ids end in a Verhoeff check digit (https://confluence.ihtsdotools.org/display/DOCRELFMT/6.2)."""
    cycle = (
        "0123456789 1234067895 2340178956 3401289567 4012395678 5987604321 6598710432 7659821043 8765932104 9876543210"
    )
    shift = "0123456789 1576283094 5803796142 8916043527 9453126870 4286573901 2793806415 7046913258"
    multiply, permute = cycle.split(), shift.split()
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(multiply[check][int(permute[place % 8][int(digit)])])
    return check == 0


def test_every_snomed_id_has_a_right_check_digit_and_belongs_to_one_symptom() -> None:
    codes = [code for symptom in SYMPTOMS.values() for code in symptom.snomed]
    assert [code for code in codes if not _check_digit_holds(code)] == []
    assert len(codes) == len(set(codes))


def test_every_symptom_is_found_by_its_own_codes() -> None:
    for symptom in SYMPTOMS.values():
        for code in (*(SNOMED + each for each in symptom.snomed), *(ICD10 + each for each in symptom.icd10)):
            assert keys_of(code) == symptom.key, code
