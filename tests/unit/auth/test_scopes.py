"""SMART scopes mean what the specification says, and never more than was allowed."""

import pytest

from fhir_server.auth.scopes import contain, narrowed, parse_scope, parse_scopes


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("patient/Observation.rs", "rs"),
        ("user/*.cruds", "cruds"),
        ("system/Patient.c", "c"),
        ("patient/Observation.read", "rs"),
        ("patient/Observation.write", "cud"),
        ("user/Patient.*", "cruds"),
        ("patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory", "rs"),
    ],
)
def test_scopes_of_both_versions_are_read(text: str, letters: str) -> None:
    scope = parse_scope(text)
    assert scope is not None
    assert (scope.letters, scope.text) == (letters, text)


@pytest.mark.parametrize(
    "text",
    [
        "patient/Observation.sr",
        "patient/Observation.",
        "patient/Observation.x",
        "patient/observation.rs",
        "Patient/Observation.rs",
        "patient/Observation.read?category=x",
        "patient/Observation.rsrs",
        "launch/patient",
        "patient/Observation.rs\n",
    ],
)
def test_what_is_badly_written_grants_nothing(text: str) -> None:
    assert parse_scope(text) is None


def test_scopes_that_mean_nothing_here_are_left_out() -> None:
    scopes = parse_scopes("openid fhirUser launch/patient offline_access unheard:of patient/*.rs patient/*.rs")
    assert scopes.others == {"openid", "fhirUser", "launch/patient", "offline_access"}
    assert [scope.text for scope in scopes.resources] == ["patient/*.rs"]


@pytest.mark.parametrize(
    ("asked", "allowed", "granted"),
    [
        ("patient/*.cruds", "patient/*.rs", "patient/*.rs"),
        ("patient/*.rs", "patient/Observation.rs patient/Patient.r", "patient/Observation.rs patient/Patient.r"),
        ("user/Observation.rs", "user/*.cruds", "user/Observation.rs"),
        ("patient/Observation.rs", "user/*.rs", "patient/Observation.rs"),
        ("user/Observation.rs", "patient/*.rs", ""),
        ("system/*.rs", "user/*.rs", ""),
        ("user/Observation.rs", "user/Observation.rs?category=a", "user/Observation.rs?category=a"),
        ("user/Observation.rs?code=x", "user/Observation.rs?category=a", "user/Observation.rs?code=x&category=a"),
        ("user/Observation.c", "user/Observation.rs", ""),
        ("openid launch fhirUser", "openid fhirUser", "fhirUser openid"),
    ],
)
def test_a_grant_lies_within_what_is_allowed(asked: str, allowed: str, granted: str) -> None:
    assert str(narrowed(parse_scopes(asked), parse_scopes(allowed))) == granted


@pytest.mark.parametrize(
    ("mine", "theirs", "enough"),
    [
        ("patient/*.rs", "patient/*.rs", True),
        ("patient/Observation.rs?category=a patient/*.rs", "patient/Observation.rs?category=a patient/*.rs", True),
        ("patient/*.rs patient/Observation.rs", "patient/*.rs", True),
        ("user/*.cruds", "patient/Observation.rs openid", True),
        ("patient/Observation.rs", "patient/*.rs", False),
        ("patient/*.r", "patient/*.rs", False),
        ("user/Observation.rs?category=a", "user/Observation.rs", False),
        ("", "patient/*.rs", False),
        ("", "", True),
    ],
)
def test_a_token_gets_results_only_of_tokens_that_allowed_no_more(mine: str, theirs: str, enough: bool) -> None:
    assert contain(mine, theirs) is enough
