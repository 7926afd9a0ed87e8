"""Every official test of SQL on FHIR v2 holds."""

import pytest

from tests.conformance.views.cases import Case, cases, fault


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_view_gives_the_official_rows(case: Case) -> None:
    assert fault(case) == ""
