"""What a profile asks for is missed: silence about examples is no silence about everything."""

import pytest

from tests.conformance.ig_packages import NAMES
from tests.conformance.packages.changing import changed
from tests.conformance.packages.run import examples, validator

LEAST = {"us-core-6.1.0": 300, "us-core-7.0.0": 300, "ips-1.1.0": 80, "davinci-pas-2.2.1": 150}


@pytest.mark.parametrize("name", NAMES)
def test_each_change_that_a_profile_minds_is_an_error(name: str) -> None:
    unnoticed, tried = [], 0
    for example in examples(name):
        for change in changed(example) if not example.errors else ():
            tried += 1
            issues = validator().check(change.resource, profiles=[change.profile])
            if not any(issue.severity == "error" for issue in issues):
                unnoticed.append((example.title, change.kind, change.element))
    assert unnoticed == []
    assert tried > LEAST[name]
