"""The edge from end to end over a fake dispatch: what arrives as FhirRequest, what leaves as HTTP."""

import asyncio
import gzip
import json
import logging
from base64 import b64encode
from typing import Any

import httpx
import pytest

from fhir_server.errors import Busy, FhirError, InvalidResource, Issue, NotFound, Unauthorized
from fhir_server.model.exchange import FhirRequest, FhirResponse
from tests.unit.api.edge_client import PATIENT, Fake, application, client, raw, version_of

JSON = {"content-type": "application/fhir+json"}
XML_PATIENT = b'<Patient xmlns="http://hl7.org/fhir"><id value="p"/><active value="true"/></Patient>'


def outcome(response: Any) -> dict[str, Any]:
    """The first issue of an OperationOutcome."""
    found = response.json()
    assert found["resourceType"] == "OperationOutcome"
    issue: dict[str, Any] = found["issue"][0]
    return issue


async def test_a_read_becomes_a_request_and_its_version_becomes_headers() -> None:
    fake = Fake()
    async with client(fake) as http:
        response = await http.get("/fhir/Patient/p?_summary=true&x=y%20z", headers={"prefer": "handling=strict"})
    asked = fake.asked
    assert (asked.method, asked.interaction, asked.type, asked.id) == ("GET", "read", "Patient", "p")
    assert asked.query == (("_summary", "true"), ("x", "y z"))
    assert asked.base == "http://fhir.example/fhir"
    assert asked.headers["prefer"] == "handling=strict"
    assert response.status_code == 200
    assert response.content == version_of().stamped()
    assert response.headers["etag"] == 'W/"3"'
    assert response.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert response.headers["x-request-id"] == asked.request_id


async def test_a_create_says_where_the_new_version_is() -> None:
    fake = Fake(FhirResponse.of_version(version_of(), 201))
    async with client(fake) as http:
        response = await http.post("/fhir/Patient", content=PATIENT, headers=JSON)
    assert response.status_code == 201
    assert response.headers["location"] == "http://fhir.example/fhir/Patient/p/_history/3"
    assert fake.asked.body == PATIENT


async def test_an_update_names_the_version_it_made() -> None:
    async with client(Fake()) as http:
        response = await http.put("/fhir/Patient/p", content=PATIENT, headers=JSON)
    assert response.headers["content-location"] == "http://fhir.example/fhir/Patient/p/_history/3"
    assert "location" not in response.headers


async def test_headers_of_the_interaction_go_before_those_of_the_version() -> None:
    fake = Fake(FhirResponse(200, (b"{}",), version_of(), {"ETag": 'W/"9"', "Cache-Control": "no-store"}))
    async with client(fake) as http:
        response = await http.get("/fhir/Patient/p")
    assert response.headers.get_list("etag") == ['W/"9"']
    assert response.headers.get_list("cache-control") == ["no-store"]


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    fake = Fake()
    async with client(fake) as http:
        get, head = await http.get("/fhir/Patient/p"), await http.head("/fhir/Patient/p")
    assert fake.asked.method == "GET"
    assert head.content == b""
    for name in ("etag", "content-length", "content-type", "last-modified"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": 'W/"3"'}, 304),
        ({"if-none-match": '"3"'}, 304),
        ({"if-none-match": 'W/"1", W/"3"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": 'W/"2"'}, 200),
        ({"if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT"}, 304),
        ({"if-modified-since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 200),
        ({"if-modified-since": "not a date"}, 200),
        ({"if-none-match": 'W/"2"', "if-modified-since": "Tue, 14 Nov 2033 22:13:20 GMT"}, 200),
    ],
)
async def test_a_conditional_read_is_answered_by_304_where_nothing_changed(
    headers: dict[str, str], status: int
) -> None:
    async with client(Fake()) as http:
        response = await http.get("/fhir/Patient/p", headers=headers)
    assert response.status_code == status
    assert response.headers["etag"] == 'W/"3"'
    if status == 304:
        assert response.content == b""
        assert "content-type" not in response.headers


async def test_conditional_headers_do_not_turn_other_answers_into_304() -> None:
    fake = Fake(FhirResponse(404, (b"{}",), headers={"etag": 'W/"3"'}))
    async with client(fake) as http:
        assert (await http.get("/fhir/Patient/p", headers={"if-none-match": 'W/"3"'})).status_code == 404
        fake.answer = FhirResponse.of_version(version_of())
        put = await http.put("/fhir/Patient/p", content=PATIENT, headers=JSON | {"if-none-match": "*"})
    assert put.status_code == 200


async def test_xml_goes_both_ways() -> None:
    fake = Fake()
    headers = {"content-type": "application/fhir+xml", "accept": "application/fhir+xml"}
    async with client(fake) as http:
        response = await http.put("/fhir/Patient/p", content=XML_PATIENT, headers=headers)
    assert json.loads(fake.asked.body) == {"resourceType": "Patient", "id": "p", "active": True}
    assert fake.asked.content_type == "application/fhir+json"
    assert response.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    assert response.text.startswith('<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir">')
    assert "default-src 'none'" in response.headers["content-security-policy"]


async def test_large_bodies_are_converted_too() -> None:
    big = b"".join(b'<name><family value="%d"/></name>' % number for number in range(5_000))
    fake = Fake(FhirResponse(200, (b'{"resourceType":"Bundle","type":"searchset"', b',"total":1}')))
    async with client(fake) as http:
        headers = {"content-type": "text/xml; charset=utf-8", "accept": "text/xml"}
        response = await http.post(
            "/fhir/Patient", content=b'<Patient xmlns="http://hl7.org/fhir">' + big + b"</Patient>", headers=headers
        )
    assert len(json.loads(fake.asked.body)["name"]) == 5_000
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    assert '<total value="1"/>' in response.text


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/fhir+xml"])
async def test_pretty_answers_are_indented(accept: str) -> None:
    async with client(Fake()) as http:
        response = await http.get("/fhir/Patient/p?_pretty=true", headers={"accept": accept})
    assert '\n  "active": true' in response.text or '\n  <active value="true"/>' in response.text


async def test_errors_come_in_the_format_that_was_asked_for() -> None:
    async with client(Fake(NotFound("there is no Patient/p"))) as http:
        response = await http.get("/fhir/Patient/p?_format=xml")
        unknown = await http.get("/fhir/Foo", headers={"accept": "application/fhir+xml"})
    assert response.status_code == 404
    assert '<diagnostics value="there is no Patient/p"/>' in response.text
    assert unknown.text.startswith("<?xml")


async def test_errors_are_indented_for_those_who_ask() -> None:
    async with client(Fake(NotFound("there is no Patient/p"))) as http:
        plain, pretty = await http.get("/fhir/Patient/p"), await http.get("/fhir/Patient/p?_pretty=true")
    assert b"\n" not in plain.content
    assert b'\n  "issue"' in pretty.content


async def test_each_issue_of_an_error_is_told() -> None:
    findings = [Issue("one", "required", expression=("Patient.name",)), Issue("two", "value", "warning")]
    async with client(Fake(InvalidResource("2 findings", issues=findings))) as http:
        response = await http.post("/fhir/Patient", content=PATIENT, headers=JSON)
    assert response.status_code == 422
    assert [issue["diagnostics"] for issue in response.json()["issue"]] == ["one", "two"]


async def test_headers_of_an_error_are_sent() -> None:
    error = Unauthorized("who are you?")
    error.headers["WWW-Authenticate"] = "Bearer"
    async with client(Fake(error)) as http:
        response = await http.get("/fhir/Patient/p")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_what_nobody_expected_is_a_500_without_a_word_of_the_patient(caplog: pytest.LogCaptureFixture) -> None:
    async with client(Fake(ValueError("Mrs Smith, born 1970"))) as http:
        with caplog.at_level(logging.ERROR):
            response = await http.get("/fhir/Patient/p", headers={"x-request-id": "r-1"})
    issue = outcome(response)
    assert (response.status_code, issue["code"], issue["severity"]) == (500, "exception", "fatal")
    assert "r-1" in issue["diagnostics"]
    assert "Smith" not in response.text
    assert "r-1" in caplog.text
    assert "ValueError" in caplog.text
    assert "edge_client.py" in caplog.text
    assert "Smith" not in caplog.text


async def test_no_acceptable_format_is_406_in_json() -> None:
    fake = Fake()
    async with client(fake) as http:
        response = await http.get("/fhir/Patient/p", headers={"accept": "text/turtle"})
    assert response.status_code == 406
    assert outcome(response)["code"] == "not-supported"
    assert fake.requests == []


async def test_a_binary_may_be_read_as_anything() -> None:
    fake = Fake(FhirResponse(200, (b"\x89PNG",), version_of(), media_type="image/png"))
    async with client(fake) as http:
        response = await http.get("/fhir/Binary/p", headers={"accept": "image/png"})
    assert (response.status_code, response.content) == (200, b"\x89PNG")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


async def test_a_stored_media_type_cannot_break_out_of_its_header() -> None:
    fake = Fake(FhirResponse(200, (b"x",), media_type="image/png\r\nSet-Cookie: a=b"))
    status, headers, _ = await raw(fake, {"path": "/fhir/Binary/p", "raw_path": b"/fhir/Binary/p"})
    assert status == 200
    assert b"\n" not in headers[b"content-type"]
    assert b"\r" not in headers[b"content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_raw_body_sent_to_binary_stays_as_it_came(method: str) -> None:
    fake = Fake()
    url = "/fhir/Binary/p" if method == "PUT" else "/fhir/Binary"
    async with client(fake) as http:
        await http.request(method, url, content=b"\x00\xff<", headers={"content-type": "image/png; a=b"})
    assert (fake.asked.body, fake.asked.content_type) == (b"\x00\xff<", "image/png; a=b")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"resourceType":"Patient"}'),
        ("application/json", b"broken {"),
        ("application/xml", b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>'),
        ("text/xml; charset=iso-8859-1", "<?xml version='1.0' encoding='iso-8859-1'?><a>\u00e9</a>".encode("latin-1")),
        ("application/xml", b"<!DOCTYPE html><html/>"),
        ("text/plain; charset=iso-8859-1", "\u00e9".encode("latin-1")),
        ("application/x-www-form-urlencoded", b"a=b"),
    ],
)
async def test_any_content_sent_to_binary_stays_as_it_came(content_type: str, body: bytes) -> None:
    """'The data is accepted as is and treated as the content of a Binary'."""
    fake = Fake()
    async with client(fake) as http:
        await http.post("/fhir/Binary", content=body, headers={"content-type": content_type})
    assert (fake.asked.body, fake.asked.content_type) == (body, content_type)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/fhir+json", b'{"resourceType":"Patient"}'),
        ("application/fhir+json", b"[1]"),
        ("application/fhir+xml", XML_PATIENT),
        ("application/fhir+xml", b"<a/>"),
    ],
)
async def test_fhir_that_is_no_binary_is_the_content_of_one(content_type: str, body: bytes) -> None:
    """'... including when the content type is application/fhir+xml or application/fhir+json'."""
    fake = Fake()
    async with client(fake) as http:
        headers = {"content-type": content_type, "x-security-context": "Patient/p"}
        await http.put("/fhir/Binary/b", content=body, headers=headers)
    assert json.loads(fake.asked.body) == {
        "resourceType": "Binary",
        "id": "b",
        "contentType": content_type,
        "securityContext": {"reference": "Patient/p"},
        "data": b64encode(body).decode(),
    }
    assert fake.asked.content_type == "application/fhir+json"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/fhir+json", b'{"resourceType":"Binary","contentType":"x/y"}'),
        ("application/json", b'{"resourceType":"Binary","contentType":"x/y"}'),
        ("application/fhir+xml", b'<Binary xmlns="http://hl7.org/fhir"><contentType value="x/y"/></Binary>'),
        ("text/xml", b'<Binary xmlns="http://hl7.org/fhir"><contentType value="x/y"/></Binary>'),
    ],
)
async def test_what_is_actually_a_binary_is_taken_as_the_resource(content_type: str, body: bytes) -> None:
    """'... except for the special case where the content is actually a Binary resource'."""
    fake = Fake()
    async with client(fake) as http:
        await http.post("/fhir/Binary", content=body, headers={"content-type": content_type})
    assert json.loads(fake.asked.body) == {"resourceType": "Binary", "contentType": "x/y"}
    assert fake.asked.content_type == "application/fhir+json"


async def test_fhir_that_cannot_be_parsed_is_refused_even_by_binary() -> None:
    fake = Fake()
    async with client(fake) as http:
        response = await http.post("/fhir/Binary", content=b"<a", headers={"content-type": "application/fhir+xml"})
        await http.post("/fhir/Binary", content=b"{", headers=JSON)
    assert (response.status_code, outcome(response)["code"]) == (400, "structure")
    assert (fake.asked.body, fake.asked.content_type) == (b"{", "application/fhir+json")


@pytest.mark.parametrize("name", ["application/json-patch+json", "application/xml-patch+xml"])
async def test_a_patch_stays_as_it_came(name: str) -> None:
    fake = Fake()
    async with client(fake) as http:
        await http.patch("/fhir/Patient/p", content=b"the patch", headers={"content-type": f"{name}; charset=utf-8"})
    assert (fake.asked.body, fake.asked.content_type, fake.asked.interaction) == (b"the patch", name, "patch")


async def test_a_fhirpath_patch_in_xml_becomes_json() -> None:
    fake = Fake()
    patch = b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/></parameter></Parameters>'
    async with client(fake) as http:
        await http.patch("/fhir/Patient/p", content=patch, headers={"content-type": "application/fhir+xml"})
    assert json.loads(fake.asked.body) == {"resourceType": "Parameters", "parameter": [{"name": "operation"}]}


@pytest.mark.parametrize(
    ("method", "url", "content_type"),
    [
        ("POST", "/fhir/Patient", "text/plain"),
        ("POST", "/fhir/Patient", None),
        ("POST", "/fhir/Patient", "application/x-www-form-urlencoded"),
        ("POST", "/fhir/Patient", "application/fhir+json; charset=latin-1"),
        ("PUT", "/fhir/Patient/p", "application/json-patch+json"),
        ("PATCH", "/fhir/Patient/p", "application/merge-patch+json"),
        ("POST", "/fhir", "multipart/form-data; boundary=x"),
        ("POST", "/fhir/Patient/_search", "application/fhir+json"),
    ],
)
async def test_a_body_of_another_type_is_refused(method: str, url: str, content_type: str | None) -> None:
    fake = Fake()
    async with client(fake) as http:
        headers = {"content-type": content_type} if content_type else {}
        response = await http.request(method, url, content=b"{}", headers=headers)
    assert (response.status_code, outcome(response)["code"]) == (415, "not-supported")
    assert ("accept-patch" in response.headers) == (method == "PATCH")
    assert fake.requests == []


@pytest.mark.parametrize(("method", "url"), [("POST", "/fhir"), ("POST", "/fhir/Patient"), ("PUT", "/fhir/Patient/p")])
async def test_an_empty_body_is_refused_where_one_is_needed(method: str, url: str) -> None:
    async with client(Fake()) as http:
        response = await http.request(method, url, headers=JSON)
    assert (response.status_code, outcome(response)["code"]) == (400, "structure")


async def test_operations_and_searches_need_no_body() -> None:
    fake = Fake()
    async with client(fake) as http:
        assert (await http.post("/fhir/$reindex")).status_code == 200
        assert (await http.post("/fhir/Patient/_search")).status_code == 200
    assert [request.interaction for request in fake.requests] == ["operation", "search-type"]


async def test_a_byte_order_mark_is_taken_off() -> None:
    fake = Fake()
    async with client(fake) as http:
        await http.post("/fhir/Patient", content=b"\xef\xbb\xbf" + PATIENT, headers=JSON)
    assert fake.asked.body == PATIENT


async def test_a_form_may_ask_for_a_format() -> None:
    async with client(Fake()) as http:
        response = await http.post("/fhir/Patient/_search", data={"_format": "xml", "_pretty": "true"})
        refused = await http.post("/fhir/Patient/_search", data={"_format": "yaml"})
    assert response.text.startswith("<?xml")
    assert refused.status_code == 406


async def test_an_error_that_xml_cannot_hold_comes_as_json() -> None:
    async with client(Fake(NotFound("there is no \x01"))) as http:
        response = await http.get("/fhir/Patient/p?_format=xml")
    assert (response.status_code, outcome(response)["diagnostics"]) == (404, "there is no \x01")


async def test_a_resource_that_xml_cannot_hold_is_not_acceptable() -> None:
    async with client(Fake(FhirResponse(200, (b'{"resourceType":"Patient","foo":1}',)))) as http:
        response = await http.get("/fhir/Patient/p?_format=xml")
    assert response.status_code == 406
    assert "foo" in response.text


async def test_a_failure_of_the_store_is_logged_where_it_arose(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: FhirRequest) -> FhirResponse:
        try:
            raise OSError("Mrs Smith")
        except OSError as cause:
            raise FhirError("the store failed") from cause

    async with client(Fake(answer)) as http:
        with caplog.at_level(logging.ERROR):
            response = await http.get("/fhir/Patient/p")
    assert (response.status_code, outcome(response)["code"]) == (500, "exception")
    assert "FhirError from OSError" in caplog.text
    assert "Smith" not in caplog.text


async def test_parameters_of_url_and_form_are_one_list() -> None:
    fake = Fake()
    async with client(fake) as http:
        await http.post("/fhir/Patient/_search?a=1", data={"b": "2 3", "a": "4"})
    assert fake.asked.query == (("a", "1"), ("b", "2 3"), ("a", "4"))
    assert fake.asked.body == b""


@pytest.mark.parametrize(
    ("body", "interaction"),
    [
        (b'{"resourceType":"Bundle","type":"transaction","entry":[]}', "transaction"),
        (b'{"resourceType":"Bundle","type":"batch","entry":[]}', "batch"),
        (b'{"type":"transaction","resourceType":"Bundle"}', "transaction"),
        (b'{"entry":[{"resource":{"type":"batch"}}],"type":"transaction"}', "transaction"),
        (b'{"type":7}', "batch"),
        (b"broken", "batch"),
        (b"[]", "batch"),
    ],
)
async def test_a_bundle_is_a_transaction_or_a_batch(body: bytes, interaction: str) -> None:
    fake = Fake()
    async with client(fake) as http:
        await http.post("/fhir/", content=body, headers=JSON)
    assert fake.asked.interaction == interaction


async def test_compressed_requests_are_unpacked() -> None:
    fake = Fake()
    async with client(fake) as http:
        headers = JSON | {"content-encoding": "gzip"}
        await http.post("/fhir/Patient", content=gzip.compress(PATIENT), headers=headers)
    assert fake.asked.body == PATIENT


async def test_answers_are_compressed_from_a_size_on_for_those_who_ask() -> None:
    large = b'{"resourceType":"Patient","id":"p","meta":{},"x":"' + b"y" * 5_000 + b'"}'
    fake = Fake(FhirResponse.of_version(version_of(large)))
    async with client(fake) as http:
        packed = await http.get("/fhir/Patient/p", headers={"accept-encoding": "gzip"})
        plain = await http.get("/fhir/Patient/p", headers={"accept-encoding": "identity"})
        fake.answer = FhirResponse.of_version(version_of())
        small = await http.get("/fhir/Patient/p", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 500
    assert packed.content == plain.content
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in small.headers
    assert "Accept-Encoding" in packed.headers["vary"]


async def test_large_answers_are_sent_in_slabs_whatever_their_chunks() -> None:
    chunks = (b'{"x":"', *[b"%07d" % number for number in range(30_000)], b"z" * 300_000, b'"}')
    fake = Fake(FhirResponse(200, chunks))
    async with client(fake) as http:
        plain = await http.get("/fhir/Patient", headers={"accept-encoding": "identity"})
        packed = await http.get("/fhir/Patient", headers={"accept-encoding": "gzip"})
        head = await http.head("/fhir/Patient", headers={"accept-encoding": "identity"})
    assert plain.content == packed.content == b"".join(chunks)
    assert plain.headers["content-length"] == str(len(plain.content)) == head.headers["content-length"]
    assert packed.headers["content-encoding"] == "gzip"
    assert head.content == b""


async def test_a_preflight_is_answered_without_anything_else() -> None:
    fake = Fake()
    headers = {
        "origin": "https://app.example",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization",
    }
    async with client(fake) as http:
        response = await http.options("/fhir/Patient/p", headers=headers)
        elsewhere = await http.options("/fhir/no/such/path/at/all/x", headers=headers)
    assert response.status_code == elsewhere.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "PUT" in response.headers["access-control-allow-methods"]
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert fake.requests == []


async def test_pages_of_other_origins_may_read_what_they_need() -> None:
    async with client(Fake()) as http:
        response = await http.get("/fhir/Patient/p", headers={"origin": "https://app.example"})
        refused = await http.get("/fhir/Foo", headers={"origin": "https://app.example"})
    for name in ("ETag", "Location", "Content-Location", "Last-Modified", "X-Request-Id"):
        assert name in response.headers["access-control-expose-headers"]
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_origins_may_be_limited() -> None:
    async with client(Fake(), cors_origins=("https://app.example",)) as http:
        ours = await http.get("/fhir/Patient/p", headers={"origin": "https://app.example"})
        theirs = await http.get("/fhir/Patient/p", headers={"origin": "https://evil.example"})
        asked = {"origin": "https://evil.example", "access-control-request-method": "GET"}
        preflight = await http.options("/fhir/Patient/p", headers=asked)
    assert ours.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in theirs.headers
    assert "access-control-allow-methods" not in preflight.headers
    assert "Origin" in theirs.headers["vary"]


async def test_options_says_what_may_be_done() -> None:
    async with client(Fake()) as http:
        response = await http.options("/fhir/Patient/p")
        unknown = await http.options("/fhir/Foo")
    assert response.status_code == 204
    assert response.headers["allow"] == "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
    assert "application/json-patch+json" in response.headers["accept-patch"]
    assert unknown.status_code == 404


async def test_a_method_that_is_not_there_is_refused_with_allow() -> None:
    async with client(Fake()) as http:
        response = await http.delete("/fhir/metadata")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_the_clients_request_id_is_echoed() -> None:
    fake = Fake()
    async with client(fake) as http:
        same = await http.get("/fhir/Patient/p", headers={"x-request-id": "abc-1"})
        other = await http.get("/fhir/Patient/p", headers={"x-request-id": "two words"})
    assert same.headers["x-request-id"] == "abc-1"
    assert "x-correlation-id" not in same.headers
    assert other.headers["x-correlation-id"] == "two words"
    assert other.headers["x-request-id"] == fake.asked.request_id != "two words"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (b"/fhir/Patient/%00", 400, "invalid"),
        (b"/fhir/Patient/%ff", 400, "invalid"),
        (b"/fhir/Patient/" + b"x" * 20_000, 414, "too-long"),
        (b"/fhir/Patient/" + b"x" * 65, 404, "not-found"),
        (b"/fhir//Patient", 400, "invalid"),
        (b"/fhir/Patient/../Patient/p", 404, "not-supported"),
    ],
)
async def test_bad_paths_are_refused(path: bytes, status: int, code: str) -> None:
    found, _, body = await raw(Fake(), {"path": path.decode("latin-1"), "raw_path": path})
    assert (found, json.loads(body)["issue"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("query", "status"), [(b"a=%00", 400), (b"a=%ff", 400), (b"a=" + b"x" * 20_000, 414), (b"\xff", 400)]
)
async def test_bad_queries_are_refused(query: bytes, status: int) -> None:
    scope = {"path": "/fhir/Patient", "raw_path": b"/fhir/Patient", "query_string": query}
    found, _, body = await raw(Fake(), scope)
    assert found == status
    assert json.loads(body)["resourceType"] == "OperationOutcome"


async def test_a_client_that_hangs_up_during_its_body_is_not_answered() -> None:
    fake = Fake()
    scope = {"method": "POST", "path": "/fhir/Patient", "raw_path": b"/fhir/Patient"}
    half = [{"type": "http.request", "body": b"{", "more_body": True}]
    assert await raw(fake, scope, half) is None
    assert fake.requests == []


async def test_the_mount_of_an_outer_server_belongs_to_the_base() -> None:
    fake = Fake()
    scope = {"path": "/outer/fhir/Patient/p", "raw_path": b"/outer/fhir/Patient/p", "root_path": "/outer"}
    status, _, _ = await raw(fake, scope)
    assert status == 200
    assert fake.asked.base == "http://fhir.example/outer/fhir"


async def test_requests_before_the_start_are_asked_to_come_again() -> None:
    app = application(Fake())
    app.stop()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as http:
        response = await http.get("/fhir/Patient/p")
        ready, live = await http.get("/health/ready"), await http.get("/health/live")
    assert (response.status_code, outcome(response)["code"]) == (503, Busy.code)
    assert response.headers["retry-after"] == "1"
    assert (ready.status_code, live.status_code) == (503, 200)


async def test_one_slow_answer_does_not_hold_up_another() -> None:
    gate = asyncio.Event()

    async def answer(request: FhirRequest) -> FhirResponse:
        if request.id == "slow":
            await gate.wait()
        return FhirResponse.of_version(version_of())

    async with client(Fake(answer)) as http:
        slow = asyncio.create_task(http.get("/fhir/Patient/slow"))
        assert (await http.get("/fhir/Patient/fast")).status_code == 200
        assert not slow.done()
        gate.set()
        assert (await slow).status_code == 200


async def test_the_first_page_leads_to_what_whoever_opens_it_may_see() -> None:
    async with client(Fake()) as http:
        assert 'href="fhir/Patient?' in (await http.get("/")).text
    async with client(Fake(), auth="smart") as http:
        page = (await http.get("/")).text
    assert 'href="auth/account"' in page
    assert 'href="fhir/Patient?' not in page
