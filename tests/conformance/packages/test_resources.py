"""The resources of IG packages are valid, or the reason is known. docs/conformance/packages.md has the table."""

from pathlib import Path

import pytest

from tests.conformance.ig_packages import NAMES
from tests.conformance.packages.reasons import REASONS, unexplained
from tests.conformance.packages.run import definitions, examples

DOCS = Path(__file__).parents[3] / "docs" / "conformance" / "packages.md"
EXAMPLES = {"us-core-6.1.0": 183, "us-core-7.0.0": 214, "ips-1.1.0": 40, "davinci-pas-2.2.1": 47}


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_valid_or_the_reason_is_known(name: str) -> None:
    found = examples(name)
    assert len(found) == EXAMPLES[name]
    assert {each.title: faults for each in found if (faults := unexplained(each))} == {}


@pytest.mark.parametrize("name", NAMES)
def test_definitions_are_valid_or_the_reason_is_known(name: str) -> None:
    found = definitions(name)
    assert len(found) > 100
    assert {each.title: faults for each in found if (faults := unexplained(each))} == {}


@pytest.mark.parametrize("name", NAMES)
def test_most_examples_are_of_profiles(name: str) -> None:
    found = examples(name)
    assert sum(bool(each.profiles) for each in found) / len(found) > 0.9


def test_no_reason_is_left_over() -> None:
    errors = [
        (each, f"{', '.join(issue.expression)}: {issue.diagnostics}")
        for name in NAMES
        for each in (*examples(name), *definitions(name))
        for issue in each.errors
    ]
    for reason in REASONS:
        assert any(reason.explains(each, error) for each, error in errors), reason.text


def test_every_reason_is_documented() -> None:
    text = DOCS.read_text()
    for reason in REASONS:
        assert reason.text in text
