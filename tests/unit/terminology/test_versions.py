"""Versions, languages and texts: what fits what."""

import pytest

from fhir_server.terminology.languages import Languages, read_languages
from fhir_server.terminology.text_search import rank_of, words_of, worst
from fhir_server.terminology.versions import choices, fits, is_pattern, latest, listed, version_order


@pytest.mark.parametrize(
    ("version", "wanted", "right"),
    [
        ("1.2.0", "1.2.0", True),
        ("1.2.0", "", True),
        ("1.2.0", "1.x", True),
        ("1.2.0", "1.x.x", True),
        ("1.2.0", "1.*", True),
        ("1.2.0", "x.2.0", True),
        ("1.2.0", "1.x.1", False),
        ("2.2.0", "1.x", False),
        ("1.2.0", "1", False),
        ("1.2.0", "1.2", False),
        ("1.2.0", "1.2?", True),
        ("1", "1.x", True),
        ("1", "1.x.0", False),
        ("2020-01", "2020-01", True),
        ("", "1", False),
    ],
)
def test_a_version_fits_itself_and_patterns(version: str, wanted: str, right: bool) -> None:
    assert fits(version, wanted) is right


def test_wildcards_stand_alone_between_dots() -> None:
    assert [text for text in ("1.x", "x", "1.*.0", "1?") if not is_pattern(text)] == []
    assert [text for text in ("1.0", "xyz", "1.x1", "2020-xx") if is_pattern(text)] == []


def test_the_latest_that_fits_is_taken_and_versions_are_told_the_oldest_first() -> None:
    assert latest(["2.0.0", "1.10.0", "1.9.0"], "1.x") == "1.10.0"
    assert latest(["2.0.0"], "1.x") is None
    assert listed(["2.0.0", "1.0.0"]) == "1.0.0 or 2.0.0"
    assert choices(["a", "b", "c"]) == "a, b or c"


def test_languages_come_in_the_order_of_their_weight() -> None:
    found = read_languages("fr;q=0.2, de-CH, en;q=0.5, it;q=0")
    assert found is not None
    assert (tuple(found.tags), found.others) == (("de-CH", "en", "fr"), True)
    strict = read_languages("de,*; q=0")
    assert strict is not None
    assert (tuple(strict.tags), strict.others, strict.text) == (("de",), False, "de, *; q=0")


@pytest.mark.parametrize("broken", ["-", "de;q=2", "de;q=x", "de;level=1", "d e", ",", "toolonglanguage"])
def test_broken_languages_are_told(broken: str) -> None:
    assert read_languages(broken) is None


def test_the_nearest_language_is_the_best() -> None:
    asked = Languages(("de-CH", "en"))
    offered = ["de-CH", "de-CH-1996", "de", "de-AT", "en", "en-US", "fr", ""]
    ranks = [asked.rank(language) for language in offered]
    assert ranks[-2:] == [None, None]
    known = [rank for rank in ranks if rank is not None]
    assert known == sorted(known)


def test_texts_are_ranked_by_how_well_they_are_met() -> None:
    words = words_of("heart fail")
    ranks = [
        rank_of(words, [text])
        for text in ("Heart Fail", "Heart failure", "Failing heart", "Sweetheart prevails and fails", "Lung")
    ]
    assert ranks == sorted(ranks)
    assert [worst(rank) for rank in ranks] == [False] * 4 + [True]
    assert not worst(rank_of(words_of("ZÜRICH"), ["zurich"]))


def test_versions_sort_by_their_numbers_and_none_is_the_latest() -> None:
    assert sorted(["1.10.0", "", "1.9.0", "2", "1.9.0-beta"], key=version_order) == [
        "1.9.0",
        "1.9.0-beta",
        "1.10.0",
        "2",
        "",
    ]
