"""Request headers: ids, entity tags, and the address of the server as its clients see it."""

from typing import Any

import pytest

from fhir_server.api.headers import base_url, check, mapping, request_id
from fhir_server.errors import BadRequest, BadValue
from fhir_server.settings import Settings

HOST = {"host": "fhir.example"}


def base(headers: dict[str, str], client: Any = ("127.0.0.1", 1), scheme: str = "http", **settings: Any) -> str:
    scope = {"scheme": scheme, "client": client, "server": ("10.0.0.9", 8080)}
    return base_url(scope, headers, Settings(**settings), "/fhir")


def test_headers_that_stand_twice_are_joined() -> None:
    assert mapping([(b"accept", b"a"), (b"prefer", b"x"), (b"accept", b"b")]) == {"accept": "a, b", "prefer": "x"}


@pytest.mark.parametrize("name", ["host", "content-type", "content-length", "authorization", "x-request-id"])
def test_headers_that_may_stand_once_are_refused_twice(name: str) -> None:
    raw = [(name.encode(), b"1"), (name.encode(), b"2")]
    with pytest.raises(BadRequest, match=name):
        check(raw, mapping(raw))


@pytest.mark.parametrize("tags", ['W/"1"', '"1"', '"1", W/"2"', "*", ' W/"1" ', "1", 'W/"1",W/"2"'])
def test_entity_tags_are_let_pass(tags: str) -> None:
    raw = [(b"if-match", tags.encode()), (b"if-none-match", tags.encode())]
    check(raw, mapping(raw))


@pytest.mark.parametrize("tags", ["", '"', 'W/"1', 'W/"1" W/"2"', "*,*", '"1",,', "a b", '"' * 5000, '"1",' * 3000])
def test_what_is_no_entity_tag_is_refused_with_the_name_of_the_header(tags: str) -> None:
    raw = [(b"if-match", tags.encode())]
    with pytest.raises(BadValue, match="if-match") as caught:
        check(raw, mapping(raw))
    assert caught.value.issues[0].expression == ("http.if-match",)


def test_a_sane_request_id_is_taken_over() -> None:
    assert request_id({"x-request-id": "a.b-C:9"}) == ("a.b-C:9", None)


def test_request_ids_are_made_where_there_is_none_and_differ() -> None:
    made = {request_id({})[0] for _ in range(100)}
    assert len(made) == 100


def test_a_strange_request_id_is_replaced_and_comes_back_as_the_correlation_id() -> None:
    own, correlation = request_id({"x-request-id": "my request"})
    assert own != "my request"
    assert correlation == "my request"


@pytest.mark.parametrize("bad", ["a\r\nset-cookie: x", "ä", "x" * 1000, "\0"])
def test_a_request_id_that_would_break_the_answer_is_not_echoed(bad: str) -> None:
    own, correlation = request_id({"x-request-id": bad})
    assert own != bad
    assert correlation is None


def test_the_base_follows_the_host_header() -> None:
    assert base(HOST) == "http://fhir.example/fhir"
    assert base({"host": "[::1]:8080"}, scheme="https") == "https://[::1]:8080/fhir"
    assert base({}) == "http://10.0.0.9:8080/fhir"


@pytest.mark.parametrize("host", ["a b", "a/b", 'a"b', "a@b", "a:b:c", "<script>"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(BadRequest):
        base({"host": host})


def test_the_setting_goes_before_all_headers() -> None:
    assert base({"host": "x", "x-forwarded-host": "y"}, base_url="https://ehr.example/r4/") == "https://ehr.example/r4"


def test_a_trusted_proxy_is_believed() -> None:
    forwarded = HOST | {"x-forwarded-proto": "https", "x-forwarded-host": "ehr.example", "x-forwarded-prefix": "/a/b/"}
    assert base(forwarded) == "https://ehr.example/a/b/fhir"
    assert base(forwarded | {"x-forwarded-port": "8443"}) == "https://ehr.example:8443/a/b/fhir"
    assert base(forwarded | {"x-forwarded-port": "443"}) == "https://ehr.example/a/b/fhir"
    assert base(HOST | {"x-forwarded-proto": "https, http"}) == "https://fhir.example/fhir"
    assert (
        base(HOST | {"forwarded": 'for=1.2.3.4;proto=https;host="ehr.example:1", for=x'})
        == "https://ehr.example:1/fhir"
    )


def test_others_are_not_believed() -> None:
    forwarded = HOST | {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example", "forwarded": "host=evil"}
    assert base(forwarded, client=("203.0.113.7", 1)) == "http://fhir.example/fhir"
    assert base(forwarded, client=None) == "http://fhir.example/fhir"
    assert base(forwarded, trusted_proxies=()) == "http://fhir.example/fhir"


def test_proxies_may_be_networks() -> None:
    forwarded = HOST | {"x-forwarded-proto": "https"}
    assert base(forwarded, client=("10.1.2.3", 1), trusted_proxies=("10.0.0.0/8",)).startswith("https:")
    assert base(forwarded, client=("11.1.2.3", 1), trusted_proxies=("10.0.0.0/8",)).startswith("http:")
    assert base(forwarded, client=None, trusted_proxies=("unix",)).startswith("https:")


@pytest.mark.parametrize("bad", [{"x-forwarded-proto": "javascript"}, {"x-forwarded-prefix": "/../x y"}])
def test_a_proxy_that_makes_no_sense_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        base(HOST | bad)
