"""JSON and XML both ways through the whole server.

Spec: https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#parameters
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from lxml import etree

from tests.builders import bundle, entry, patient
from tests.conformance.http.over_http import JSON, XML, over_asgi

FHIR = "{http://hl7.org/fhir}"
OBSERVATION = (
    b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"a\\nb \xc3\xa9"},"_effectiveDateTime":'
    b'{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},'
    b'"valueQuantity":{"value":1.20,"unit":"kg"}}'
)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with over_asgi(tmp_path) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "content_type"),
    [
        ({}, "application/fhir+json"),
        ({"accept": "application/fhir+xml"}, "application/fhir+xml"),
        ({"accept": "application/json"}, "application/json"),
        ({"accept": "application/xml"}, "application/xml"),
        ({"accept": "text/xml"}, "text/xml"),
    ],
)
async def test_the_answer_bears_the_media_type_that_was_asked_for(
    http: httpx.AsyncClient, asked: dict[str, str], content_type: str
) -> None:
    """'If a client provides a generic mime type in the Accept header ... the server SHOULD respond with the requested
    mime type'; 'requests and responses SHALL explicitly set the character encoding to UTF-8'."""
    for url in ("/fhir/metadata", "/fhir/Patient", "/fhir/Patient/none", "/fhir/Foo"):
        answer = await http.get(url, headers=asked)
        assert answer.headers["content-type"] == f"{content_type}; charset=utf-8"
        if "xml" in content_type:
            assert etree.QName(etree.fromstring(answer.content)).namespace == "http://hl7.org/fhir"
        else:
            assert answer.json()["resourceType"]


@pytest.mark.parametrize(
    "format_", ["xml", "text/xml", "application/xml", "application/fhir%2Bxml", "application/fhir+xml"]
)
async def test_format_overrides_accept(http: httpx.AsyncClient, format_: str) -> None:
    """'The _format parameter ... the values xml, text/xml, application/xml, and application/fhir+xml SHALL be
    interpreted to mean the XML format'."""
    answer = await http.get(f"/fhir/metadata?_format={format_}", headers={"accept": "application/fhir+json"})
    assert answer.content.startswith(b"<?xml")


async def test_format_goes_with_every_kind_of_request(http: httpx.AsyncClient) -> None:
    created = await http.post("/fhir/Patient?_format=xml&_pretty=true", json=patient(), headers=JSON)
    assert (created.status_code, created.content[:5]) == (201, b"<?xml")
    found = await http.post("/fhir/Patient/_search?_format=xml", data={"active": "true"})
    assert (found.status_code, found.content[:5]) == (200, b"<?xml")
    await http.put("/fhir/Patient/a", json=patient("a"), headers=JSON)
    for url in (
        "Patient/a",
        "Patient/a/_history",
        "Patient/a/_history/1",
        "_history",
        "Patient?_id=a",
        "?_type=Patient",
    ):
        answer = await http.get(f"/fhir/{url}{'&' if '?' in url else '?'}_format=xml")
        assert (url, answer.status_code, answer.content[:5]) == (url, 200, b"<?xml")


async def test_a_resource_sent_as_json_comes_back_as_xml_and_the_same_again(http: httpx.AsyncClient) -> None:
    await http.put("/fhir/Observation/o", content=OBSERVATION, headers=JSON)
    as_xml = await http.get("/fhir/Observation/o", headers={"accept": "application/fhir+xml"})
    assert b'<value value="1.20"/>' in as_xml.content
    assert b"a&#xA;b" in as_xml.content
    stored = await http.put("/fhir/Observation/o", content=as_xml.content, headers=XML)
    assert stored.status_code == 200
    assert stored.headers["etag"] == 'W/"1"', "the same content is no new version"
    back = await http.get("/fhir/Observation/o")
    assert b'"value":1.20' in back.content
    found = back.json()
    del found["meta"]
    assert found == json.loads(OBSERVATION)


async def test_a_transaction_in_xml_is_answered_in_xml(http: httpx.AsyncClient) -> None:
    as_json = bundle("transaction", entry("PUT", "Patient/x", patient("x")), entry("POST", "Patient", patient()))
    made = etree.fromstring(
        b'<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry><resource><Patient><id value="x"/>'
        b'</Patient></resource><request><method value="PUT"/><url value="Patient/x"/></request></entry></Bundle>'
    )
    answer = await http.post("/fhir", content=etree.tostring(made), headers=XML)
    assert answer.status_code == 200, answer.text
    tree = etree.fromstring(answer.content)
    assert tree.find(f"{FHIR}type").get("value") == "transaction-response"
    assert tree.find(f"{FHIR}entry/{FHIR}response/{FHIR}status").get("value").startswith("201")
    assert (await http.post("/fhir", json=as_json, headers=JSON)).status_code == 200


async def test_patches_come_in_json_and_xml(http: httpx.AsyncClient) -> None:
    await http.put("/fhir/Patient/a", json=patient("a", gender="male"), headers=JSON)
    parameters = (
        b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        b'<part><name value="type"/><valueCode value="replace"/></part>'
        b'<part><name value="path"/><valueString value="Patient.gender"/></part>'
        b'<part><name value="value"/><valueCode value="female"/></part></parameter></Parameters>'
    )
    by_fhirpath = await http.patch(
        "/fhir/Patient/a", content=parameters, headers={"content-type": "application/fhir+xml"}
    )
    assert (by_fhirpath.status_code, by_fhirpath.json()["gender"]) == (200, "female")
    diff = b'<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:gender/@value">other</replace></diff>'
    by_xml = await http.patch("/fhir/Patient/a", content=diff, headers={"content-type": "application/xml-patch+xml"})
    assert (by_xml.status_code, by_xml.json()["gender"]) == (200, "other")
    operations = b'[{"op":"replace","path":"/gender","value":"unknown"}]'
    by_json = await http.patch(
        "/fhir/Patient/a", content=operations, headers={"content-type": "application/json-patch+json"}
    )
    assert (by_json.status_code, by_json.json()["gender"]) == (200, "unknown")


async def test_a_binary_goes_in_and_out_raw_or_as_a_resource(http: httpx.AsyncClient) -> None:
    """'When a read request is made for the binary resource that doesn't explicitly specify the FHIR content types
    ... then the content should be returned using the content type stated in the resource'."""
    created = await http.post("/fhir/Binary", content=b"\x89PNG\x00", headers={"content-type": "image/png"})
    assert created.status_code == 201
    url = "/fhir/Binary/" + created.headers["location"].split("/Binary/")[1].split("/")[0]
    for accept in ("image/png", "*/*", "image/*"):
        content = await http.get(url, headers={"accept": accept})
        assert (content.content, content.headers["content-type"]) == (b"\x89PNG\x00", "image/png")
    as_json = await http.get(url, headers={"accept": "application/fhir+json"})
    assert as_json.json()["contentType"] == "image/png"
    as_xml = await http.get(url + "?_format=xml")
    assert b'<contentType value="image/png"/>' in as_xml.content


async def test_pretty_is_indented(http: httpx.AsyncClient) -> None:
    assert b'\n  "resourceType"' in (await http.get("/fhir/metadata?_pretty=true")).content
    assert b"\n  <status" in (await http.get("/fhir/metadata?_pretty=true&_format=xml")).content
    assert b"\n" not in (await http.get("/fhir/metadata")).content


async def test_other_versions_of_fhir_are_refused(http: httpx.AsyncClient) -> None:
    """'If the server does not support the version it SHOULD return 406 or 415'."""
    asked = await http.get("/fhir/metadata", headers={"accept": "application/fhir+json; fhirVersion=5.0"})
    sent = await http.post(
        "/fhir/Patient", json=patient(), headers={"content-type": "application/fhir+json; fhirVersion=5.0"}
    )
    assert (asked.status_code, sent.status_code) == (406, 415)
    fine = await http.post(
        "/fhir/Patient", json=patient(), headers={"content-type": "application/fhir+json; fhirVersion=4.0"}
    )
    assert fine.status_code == 201
