"""The language of `_text` and `_content`."""

import pytest

from fhir_server.search.fulltext import (
    AllOf,
    AnyOf,
    NoneOf,
    Phrase,
    TextQuery,
    contains_text,
    content_text,
    narrative_text,
    parse_text,
    words_start,
)

A, B, C = (Phrase((word,)) for word in "abc")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a", A),
        ("A", A),
        ("a b", AllOf((A, B))),
        ("a AND b", AllOf((A, B))),
        ("a OR b", AnyOf((A, B))),
        ("a b OR c", AnyOf((AllOf((A, B)), C))),
        ("a (b OR c)", AllOf((A, AnyOf((B, C))))),
        ("NOT a", NoneOf(A)),
        ("a NOT b", AllOf((A, NoneOf(B)))),
        ("NOT (a OR b)", NoneOf(AnyOf((A, B)))),
        ('"a b"', Phrase(("a", "b"))),
        ("a*", Phrase(("a",), prefix=True)),
        ('"a b*"', Phrase(("a", "b"))),
        ('"a b"*', Phrase(("a", "b"), prefix=True)),
        ("a-b", Phrase(("a", "b"))),
        ("Zoë's", Phrase(("zoes",))),
        ("and or not", AllOf((Phrase(("and",)), Phrase(("or",)), Phrase(("not",))))),
    ],
)
def test_a_query_is_read_as(query: str, expected: TextQuery) -> None:
    assert parse_text(query) == expected


@pytest.mark.parametrize(
    "query", ["", "  ", '"', "(", ")", "()", "a)", "(a", "OR", "a OR", "AND a", "NOT", "...", "a OR OR b"]
)
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_text(query)


TEXT = "The quick-brown Fox; jumps over Zoë's lazy dog."


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fox", True),
        ("fo", False),
        ("fo*", True),
        ("quick fox", True),
        ("quick cat", False),
        ('"brown fox"', True),
        ('"fox brown"', False),
        ('"brown fo"', False),
        ('"brown fo"*', True),
        ("cat OR dog", True),
        ("NOT cat", True),
        ("fox NOT dog", False),
        ("zoes", True),
        ("ZOE'S", True),
        ("(cat OR fox) (dog OR cow)", True),
        ('"the quick brown fox jumps over zoes lazy dog"', True),
        ('"lazy dog barks"', False),
    ],
)
def test_a_text_satisfies_a_query_or_not(query: str, expected: bool) -> None:
    assert contains_text(TEXT, query) is expected


def test_every_word_begins_a_word() -> None:
    assert words_start("body weight measured", "wei bo")
    assert not words_start("body weight measured", "eight")


def test_the_narrative_is_plain_text() -> None:
    body = b'{"resourceType":"Patient","text":{"div":"<div>a&lt;b<br/>c</div>"},"name":[{"family":"Doe"}]}'
    assert narrative_text(body).split() == ["a<b", "c"]
    assert narrative_text(b'{"resourceType":"Patient"}') == ""
    assert {"Doe", "c"} <= set(content_text(body).split())
