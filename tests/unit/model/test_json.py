"""Strict JSON: what is refused, what is kept token for token."""

import pytest

from fhir_server.model.json import JsonError, decode, encode, items, make_body, members, minify, same_content
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version, instant


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b'{"a":1,"a":2}', "'a' occurs twice"),
        (b'{ "a" : 1,\n "b": {"c" : 1, "c" : 1} }', "'c' occurs twice"),
        (b'{"a":1e3,"bcd":1,"bcd":2}', "'bcd' occurs twice"),
        (b'{\n "a": tru}', "line 2, column"),
        (b'{"a":"\xff"}', "invalid UTF-8"),
        (b'{"a":"\\u0000"}', "NUL"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b"[" * 300 + b"]" * 300, "nested deeper"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'["]",' * 300 + b"1" + b',"["]' * 300, "nested deeper"),
        (b'{"}":' * 300 + b"1" + b"}" * 300, "nested deeper"),
        (b'["\\"]",' * 300 + b"1" + b"]" * 300, "nested deeper"),
        *(
            (b'{"a":%b}' % number, "beyond 1e300")
            for number in (b"1e301", b"-1e99999999", b"1e-301", b"0e99999999", b"1." + b"1" * 1_000)
        ),
        (b"", "truncated"),
        (b"{} {}", "trailing"),
    ],
)
def test_broken_text_is_refused_with_its_place(raw: bytes, part: str) -> None:
    with pytest.raises(JsonError, match=part):
        decode(raw)


def test_many_brackets_on_few_levels_are_taken() -> None:
    raw = b"[" + b",".join([b'{"a":["[{",{}]}'] * 200) + b"]"
    assert encode(decode(raw)) == raw
    assert decode(b"[" * 101 + b"]" * 101)
    with pytest.raises(JsonError, match="nested deeper"):
        decode(b"[" * 102 + b"]" * 102)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":"x\\":y","b":1}',
        b'{"a":" \\" : ","b":"\\\\"}',
        b'{ "a" : "\\u00e9\\/" , "b" : [ 1e3 , -0.0 ] }',
        b'{"x":"\\\\u0000"}',
    ],
)
def test_strange_but_legal_text_is_read(raw: bytes) -> None:
    assert decode(raw)


def test_decimals_keep_their_digits() -> None:
    assert encode(decode(b'{"a":1.20,"b":100,"c":0.0000010}')) == b'{"a":1.20,"b":100,"c":0.0000010}'


def test_members_and_items_are_raw_slices() -> None:
    assert members(b'{"a":1.20,"b":[1]}') == {"a": b"1.20", "b": b"[1]"}
    assert items(b"[1.0,{}]") == [b"1.0", b"{}"]
    assert minify(b'{ "a" : 1.20 }') == b'{"a":1.20}'


def test_body_drops_what_the_server_owns_and_takes_the_stamp() -> None:
    raw = (
        b'{"meta":{"versionId":"9","lastUpdated":"2000-01-01T00:00:00Z","tag":[{"code":"x"}]},'
        b'"id":"old","resourceType":"Patient","a":1.20}'
    )
    key = ResourceKey("Patient", "new")
    version = Version(1, key, 3, 7, 1_600_000_000_123, "PUT", make_body(raw, key))
    assert version.stamped() == (
        b'{"resourceType":"Patient","id":"new","meta":{"versionId":"3","lastUpdated":"2020-09-13T12:26:40.123Z",'
        b'"tag":[{"code":"x"}]},"a":1.20}'
    )
    bare = Version(1, key, 1, 7, 0, "PUT", make_body(b'{"resourceType":"Patient"}', key))
    assert decode(bare.stamped())["meta"] == {"versionId": "1", "lastUpdated": "1970-01-01T00:00:00.000Z"}
    assert (version.etag, version.last_modified) == ('W/"3"', "Sun, 13 Sep 2020 12:26:40 GMT")
    assert instant(999) == "1970-01-01T00:00:00.999Z"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":[1,2]}', b'{"b":[1,2],"a":1}', True),
        (b'{"a":1,"b":[1,2]}', b'{"b":[2,1],"a":1}', False),
        (b'{"a":1.20,"b":1.3}', b'{"a":1.2,"b":1.30}', False),
        (b'{"a":"\\u00e9"}', '{"a":"\u00e9"}'.encode(), True),
        (b'{"a":1}', b'{"a":12}', False),
        (b'{"a":1', b'{"a"1:', False),
    ],
)
def test_the_same_content_is_the_same_tokens_whatever_the_order(one: bytes, other: bytes, same: bool) -> None:
    assert same_content(one, other) is same
