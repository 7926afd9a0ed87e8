"""Page links cannot be forged, changed or used for another search."""

import pytest

from fhir_server.errors import BadValue
from fhir_server.search.links import PageLink, decode_link, encode_link, query_hash
from fhir_server.search.query import Cursor

SECRET = b"secret of the store"
LINK = PageLink(Cursor(7, ("a\u00e9", None, 3, 1.5, -9), 42), query_hash("Patient", "name=x"), 1_700_000_000_000)


def test_a_link_comes_back_as_it_was() -> None:
    assert decode_link(encode_link(LINK, SECRET), SECRET) == LINK


def test_a_token_is_safe_in_a_url() -> None:
    assert set(encode_link(LINK, SECRET)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_link_belongs_to_its_query() -> None:
    link = decode_link(encode_link(LINK, SECRET), SECRET)
    assert link.cursor_of(LINK.query) == LINK.cursor
    with pytest.raises(BadValue, match="another search"):
        link.cursor_of(query_hash("Patient", "name=y"))


def test_another_secret_makes_no_valid_link() -> None:
    with pytest.raises(BadValue):
        decode_link(encode_link(LINK, b"other"), SECRET)


def test_no_character_of_a_token_can_be_changed() -> None:
    token = encode_link(LINK, SECRET)
    for at in range(len(token)):
        for other in "AB":
            changed = token[:at] + other + token[at + 1 :]
            if changed != token:
                with pytest.raises(BadValue):
                    decode_link(changed, SECRET)


@pytest.mark.parametrize("token", ["", "a", "abc", "!" * 50, "A" * 22, "A" * 50_000, "é", "a b", "\x00", "\ud800"])
def test_junk_is_a_bad_value(token: str) -> None:
    with pytest.raises(BadValue):
        decode_link(token, SECRET)


def test_a_longer_or_shorter_token_is_a_bad_value() -> None:
    token = encode_link(LINK, SECRET)
    for changed in (token + "A", token + "=", token + "\n", token[:-1], token[1:], token * 2):
        with pytest.raises(BadValue):
            decode_link(changed, SECRET)
