"""Splitting a Bundle into entries."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import BadJson, BadRequest, FhirError, Issue, NotFound, TooLarge
from fhir_server.interactions.entries import Entry, Envelope, located, read_envelope
from tests.builders import bundle, entry, patient


def read(body: object, max_entries: int = 100) -> Envelope:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_envelope(raw, max_depth=100, max_entries=max_entries)


def test_resources_stay_bytes_and_lose_only_white_space() -> None:
    raw = b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{ "resourceType" : "Patient", "x":1.200 },'
    raw += b'"request":{"method":"POST","url":"Patient"}}]}'
    (found,) = read(raw).entries
    assert found.resource == b'{"resourceType":"Patient","x":1.200}'


def test_entries_keep_order_urls_and_conditions() -> None:
    found = read(
        bundle(
            "transaction", entry("GET", "a"), entry("PUT", "b", patient("b"), "urn:x", ifMatch='W/"1"', ifNoneExist="c")
        )
    )
    assert found.type == "transaction"
    assert [each.url for each in found.entries] == ["a", "b"]
    assert found.entries[1].full_url == "urn:x"
    assert found.entries[1].headers == {"if-match": 'W/"1"', "if-none-exist": "c"}
    assert (found.entries[0].resource, found.entries[0].place) == (b"", "Bundle.entry[0]")


texts = st.text(max_size=8)
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("resource"), inner, max_size=3),
    max_leaves=8,
)
resources = st.dictionaries(texts | st.just("resource") | st.just("entry"), values, max_size=4)


@given(
    st.lists(
        st.tuples(resources, st.dictionaries(st.sampled_from(["link", "search", "extension"]), values)), max_size=5
    )
)
def test_any_resource_comes_out_as_it_went_in(pairs: list[tuple[dict[str, object], dict[str, object]]]) -> None:
    rows = [
        {**extra, "resource": resource, "request": {"method": "POST", "url": "x"}} for resource, extra in pairs
    ]  # fmt: skip
    if "\\u0000" in json.dumps([extra for _, extra in pairs]):
        return
    found = read({"resourceType": "Bundle", "type": "batch", "entry": rows})
    assert [json.loads(each.resource) for each in found.entries] == [resource for resource, _ in pairs]


def test_the_same_resource_twice_is_two_entries() -> None:
    found = read(bundle("batch", *(entry("POST", "Patient", patient()) for _ in range(3))))
    assert [each.resource for each in found.entries] == [b'{"resourceType":"Patient"}'] * 3


def test_a_resource_beside_something_that_looks_like_it_is_found() -> None:
    row = {
        "link": [{"resource": {"resourceType": "Patient"}}],
        "resource": {"resourceType": "Patient"},
        "request": {"method": "POST", "url": "Patient"},
    }
    (found,) = read({"resourceType": "Bundle", "type": "batch", "entry": [row]}).entries
    assert found.resource == b'{"resourceType":"Patient"}'


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(TooLarge):
        read(bundle("batch", entry("GET", "a"), entry("GET", "b")), max_entries=1)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]x", b'{"entry":[{"resource":{"a":1}', b'{"a":"\xff"}'])
def test_broken_text_is_bad_json(raw: bytes) -> None:
    with pytest.raises(BadJson):
        read(raw)


@pytest.mark.parametrize("raw", [b"[]", b"7", b'"x"', b"null"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        read(raw)


ENTRY = Entry(3, "PUT", "Patient/a")


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("Patient.name[0].family", "Bundle.entry[3].resource.name[0].family"),
        ("Patient", "Bundle.entry[3].resource"),
        ("http.if-match", "Bundle.entry[3].request.ifMatch"),
        ("http.url", "Bundle.entry[3].request.url"),
        ("http.birthdate", "Bundle.entry[3].request.url"),
        ("", "Bundle.entry[3]"),
    ],
)
def test_errors_get_the_place_of_their_entry(expression: str, place: str) -> None:
    found = located(NotFound("x", expression=expression), ENTRY)
    assert isinstance(found, NotFound)
    assert found.issues[0].expression == (place,)


def test_located_keeps_headers_and_every_issue() -> None:
    error = FhirError("two", issues=[Issue("one", "invalid"), Issue("two", "value", expression=("Patient.id",))])
    error.headers["etag"] = "x"
    found = located(error, ENTRY)
    assert found.headers == {"etag": "x"}
    assert [issue.code for issue in found.issues] == ["invalid", "value"]
