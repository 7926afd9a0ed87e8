"""The official validator cases hold as far as docs/conformance/validator.md says."""

from pathlib import Path

import pytest

from tests.conformance.validator.cases import Verdict, plain
from tests.conformance.validator.score import results, scores

# A certificate of the suite has the serial number 0.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def test_no_score_is_below_its_floor() -> None:
    assert [f"{score.name}: {score.share:.1%}" for score in scores() if not score.enough] == []


def test_no_case_makes_the_validator_fail() -> None:
    assert [result.title for result in results() if result.crashed] == []


def test_expressions_are_compared_without_comments_urls_and_first_indexes() -> None:
    assert plain("Bundle.entry[1].resource/*Patient/1*/.extension[0][url='x']") == "Bundle.entry[1].resource.extension"


def test_a_verdict_reads_errors_only() -> None:
    issues = [{"severity": "warning", "expression": ["a"]}, {"severity": "fatal", "expression": ["b"]}]
    assert Verdict.of(issues) == Verdict(False, frozenset({"b"}))
    assert Verdict.of(issues[:1]).valid


def test_the_page_on_the_score_gives_a_reason_for_every_miss_and_no_other_case() -> None:
    page = (Path(__file__).parents[3] / "docs" / "conformance" / "validator.md").read_text()
    told = {name.strip() for row in page.splitlines() if row.startswith("| ") for name in row.split("|")[1].split(",")}
    missed = {
        result.title for result in results() if not (result.verdict and (result.expected.valid or result.element))
    }
    assert missed - told == set()
    assert {name for name in told - missed if "/" in name} == set()
