"""The tables are read as they have to be: by their schema, each row with a source, each name known."""

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fhir_ai.findings.lab.analytes import Analytes, table
from fhir_ai.findings.lab.checks import change_limits, westgard
from fhir_ai.findings.table import Rules, rules, signs
from pydantic import ValidationError

FOLDER = Path(__file__).parents[4] / "plugins" / "fhir_ai" / "findings"


def raw(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "model"), [("rules", Rules), ("lab/analytes", Analytes)])
def test_each_table_holds_to_the_schema_beside_it(name: str, model: Any) -> None:
    schema = raw(f"{name}.schema.json")
    assert schema == json.loads(json.dumps(model.model_json_schema(by_alias=True)))
    jsonschema.validate(raw(f"{name}.json"), schema)


def test_each_source_is_cited_and_used() -> None:
    used = {row.source for each in rules().conditions for row in (*each.evidence, *each.criteria)}
    assert used == set(rules().sources)
    assert all(re.search(r"\b(19|20)\d\d\b", text) and "https://" in text for text in rules().sources.values())


def test_each_condition_has_evidence_or_criteria_and_one_name() -> None:
    names = [each.name for each in rules().conditions]
    assert len(names) == len(set(names)) >= 25
    assert all(each.evidence or each.criteria for each in rules().conditions)


@pytest.mark.parametrize(
    "break_", [
        lambda c: c["evidence"].append({"if": "no-such-sign", "present": 2, "source": "wang2005"}),
        lambda c: c["evidence"].append({"if": "cough", "source": "wang2005"}),
        lambda c: c["evidence"].append({"if": "cough", "present": -1, "source": "wang2005"}),
        lambda c: c["evidence"].append({"if": "cough", "present": 2, "source": "somebody"}),
        lambda c: c.update(colour="red"),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong_is_refused(break_: Any) -> None:
    given = copy.deepcopy(raw("rules.json"))
    break_(given["conditions"][0])
    with pytest.raises(ValidationError):
        Rules.model_validate(given)


def test_codes_of_signs_do_not_point_to_two_of_ours_at_once() -> None:
    codes = [code for sign in signs().values() for code in sign.snomed if sign.key not in ("dyspnoea",)]
    assert len(codes) == len(set(codes))


def test_intervals_of_an_analyte_do_not_overlap() -> None:
    for analyte in table().analytes:
        for sex in ("female", "male"):
            for age in (0.5, 5, 11, 14, 16, 17.5, 20, 30, 45, 60, 80):
                assert sum(each.fits(age, sex) for each in analyte.intervals) <= 1, (analyte.name, sex, age)


def test_reference_change_values_are_those_of_the_formula() -> None:
    """Fraser: 2^0.5 x 1.96 x (CVa^2 + CVi^2)^0.5; sodium 0.6 and 0.3: 1.86%."""
    sodium = next(each for each in table().analytes if each.name == "sodium")
    low, high = change_limits(sodium, None, 1.96) or (0, 0)
    assert high == pytest.approx(math.sqrt(2) * 1.96 * math.hypot(0.6, 0.3) / 100, rel=0.02)
    assert low == pytest.approx(-high / (1 + high))
    wide = change_limits(sodium, 2.0, 1.96)
    assert wide is not None
    assert wide[1] > high


@pytest.mark.parametrize(
    ("scores", "rules_"),
    [
        ([0, 3.1], ["1_3s"]), ([2.1, 2.2], ["2_2s"]), ([-2.1, 2.1], ["R_4s"]), ([1.1, 1.2, 1.3, 1.4], ["4_1s"]),
        ([0.1] * 10, ["10_x"]), ([0.1] * 9, []), ([2.1, -1.9], []), ([-3.2, -3.3], ["1_3s", "2_2s"]), ([0.0], []),
    ],
)  # fmt: skip
def test_westgards_rules(scores: list[float], rules_: list[str]) -> None:
    assert westgard(scores) == rules_
