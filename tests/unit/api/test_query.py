"""Paths and parameters, decoded strictly."""

import pytest

from fhir_server.api.query import parameters, segments
from fhir_server.errors import BadRequest, TooCostly


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"", []),
        (b"/", []),
        (b"/Patient", ["Patient"]),
        (b"/Patient/", ["Patient"]),
        (b"/Patient/1/_history/2", ["Patient", "1", "_history", "2"]),
        (b"/Patient/%31", ["Patient", "1"]),
        (b"/%24meta", ["$meta"]),
        (b"/Patient/a%2Fb", ["Patient", "a/b"]),
        (b"/Patient/..", ["Patient", ".."]),
    ],
)
def test_a_path_is_split_before_it_is_unescaped(path: bytes, expected: list[str]) -> None:
    assert segments(path) == expected


@pytest.mark.parametrize(
    "path", [b"/Patient/%00", b"/Patient/%ff", b"//Patient", b"/Patient//1", b"/Patient//", b"/\xff"]
)
def test_paths_that_are_not_clean_are_refused(path: bytes) -> None:
    with pytest.raises(BadRequest):
        segments(path)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ()),
        (b"a=1&b=2&a=3", (("a", "1"), ("b", "2"), ("a", "3"))),
        (b"a=&b", (("a", ""), ("b", ""))),
        (b"a=x+y%2Bz", (("a", "x y+z"),)),
        (b"a%3Aexact=%C3%A9", (("a:exact", "é"),)),
        ("a=é".encode(), (("a", "é"),)),
        (b"a=1&&b=2", (("a", "1"), ("b", "2"))),
        (b"a=b=c", (("a", "b=c"),)),
        (b"a=1;b=2", (("a", "1;b=2"),)),
        (b"a=100%", (("a", "100%"),)),
    ],
)
def test_parameters_keep_their_order_and_their_characters(raw: bytes, expected: tuple[tuple[str, str], ...]) -> None:
    assert parameters(raw) == expected


@pytest.mark.parametrize("raw", [b"a=%00", b"a=\0", b"a=%ff", b"%ff=a", b"a=\xff"])
def test_parameters_that_are_not_text_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parameters(raw)


def test_thousands_of_parameters_are_too_costly() -> None:
    with pytest.raises(TooCostly):
        parameters(b"a=1&" * 5000)
