"""Every official FHIRPath test holds."""

import pytest

from tests.conformance.fhirpath.cases import DISPUTED, Case, cases, fault, name_of


@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_expression_gives_the_official_result(case: Case) -> None:
    if name_of(case) in DISPUTED:
        pytest.skip(f"test data are disputed: {DISPUTED[name_of(case)]}")
    assert fault(case) == ""
