"""The official terminology tests, and that the comparison with their templates is a real one."""

import pytest

from tests.conformance.terminology.matching import Matcher, fits
from tests.conformance.terminology.score import score


def test_enough_of_the_official_tests_hold() -> None:
    found = score()
    assert found.enough, "\n".join(found.misses)


@pytest.mark.parametrize(
    ("template", "found", "right"),
    [
        ("$uuid$", "urn:uuid:7fd71a73-448e-43de-8018-4dfea36a7368", True),
        ("$uuid$", "7fd71a73", False),
        ("$instant$", "2026-11-22T06:00:00.000Z", True),
        ("$instant$", "2026-11-22", False),
        ("$choice:invalid|not-found$", "not-found", True),
        ("$choice:invalid|not-found$", "found", False),
        ("$fragments:one|TWO$", "two and one", True),
        ("$fragments:one|two$", "one", False),
        ("$external:3$", "whatever", True),
        ("$external:3:code1$", "of code2", False),
        ("http://x|$version$", "http://x|4.0.1", True),
        ("plain", "plain", True),
        ("plain", "Plain", False),
        (True, 1, False),
        ("true", True, False),
    ],
)
def test_values_fit_their_templates(template: object, found: object, right: bool) -> None:
    assert fits(template, found) is right


@pytest.mark.parametrize(
    ("template", "found", "difference"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"a": 1}, {}, ".a: missing, expected 1"),
        ({"$optional-properties$": ["a"], "a": 1}, {}, ""),
        ({"$optional-properties$": ["a"], "a": 1}, {"a": 2}, ".a: expected 1, found 2"),
        ({}, {"a": 1}, ".a: unexpected 1"),
        ({"a": [1, 2]}, {"a": [2, 1]}, ".a[0]: expected 1, found 2"),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, ".a: unexpected 3"),
        ({"$count-arrays$": ["a"], "a": [1, 2]}, {"a": [3, 4]}, ""),
        ({"$count-arrays$": ["a"], "a": [1, 2]}, {"a": [3]}, ".a: expected 2 items, found 1"),
        ({"issue": [{"code": "a"}, {"code": "b"}]}, {"issue": [{"code": "b"}, {"code": "a"}]}, ""),
        ({"issue": [{"code": "a"}, {"code": "b"}]}, {"issue": [{"code": "b"}]}, '.issue: missing {"code":"a"}'),
        ({"issue": [{"code": "a", "$optional$": True}, {"code": "b"}]}, {"issue": [{"code": "b"}]}, ""),
        ({"issue": [{"code": "a", "$optional$": "!tx.fhir.org"}]}, {"issue": []}, ""),
        ({"issue": [{"code": "a", "$optional$": True}]}, {}, ""),
        ({"issue": [{"$optional$": "tx.fhir.org"}]}, {"issue": []}, '.issue: missing {"$optional$":"tx.fhir.org"}'),
    ],
)  # fmt: skip
def test_objects_are_compared_as_the_tests_ask(template: object, found: object, difference: str) -> None:
    assert Matcher().difference(template, found) == difference
