"""Faults and bad input: the right status and an OperationOutcome that says what and where, and nothing stored.

Spec: https://hl7.org/fhir/R4/http.html#Status-Codes
"""

import asyncio
import gzip
import random
import string
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from tests.builders import patient
from tests.conformance.http.over_http import JSON, issue, over_asgi

XML = {"content-type": "application/fhir+xml"}
NS = 'xmlns="http://hl7.org/fhir"'


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with over_asgi(tmp_path, max_body=2_000_000) as client:
        yield client


DEEP_JSON = b'{"resourceType":"Patient","extension":' + b'[{"extension":' * 150 + b"1" + b"}]" * 150 + b"}"
BAD_BODIES = {
    "broken JSON": (b'{"resourceType":"Patient",', JSON, 400, "not valid JSON"),
    "trailing text": (b'{"resourceType":"Patient"} x', JSON, 400, "JSON"),
    "no JSON": (b"hello", JSON, 400, "JSON"),
    "an array": (b"[]", JSON, 400, "object"),
    "empty": (b"", JSON, 400, "body"),
    "duplicate keys": (b'{"resourceType":"Patient","active":true,"active":false}', JSON, 400, "active"),
    "invalid UTF-8": (b'{"resourceType":"Patient","id":"\xff"}', JSON, 400, "UTF-8"),
    "NUL": (b'{"resourceType":"Patient","name":[{"text":"a\\u0000"}]}', JSON, 400, "NUL"),
    "deep": (DEEP_JSON, JSON, 400, "deep"),
    "very deep": (b"[" * 100_000, JSON, 400, ""),
    "another type": (b'{"resourceType":"Observation"}', JSON, 400, "Observation"),
    "no type": (b'{"active":true}', JSON, 400, "resourceType"),
    "rules of FHIR": (b'{"resourceType":"Patient","gender":"x","foo":1}', JSON, 422, ""),
    "broken XML": (f"<Patient {NS}>".encode(), XML, 400, "line 1"),
    "unknown element": (
        f"<Patient {NS}>\n<foo/></Patient>".encode(),
        XML,
        400,
        "line 2, Patient: unknown element <foo>",
    ),
    "XML of no resource": (b"<html/>", XML, 400, "resource"),
    "a document type": (f'<!DOCTYPE x [<!ENTITY a "b">]><Patient {NS}/>'.encode(), XML, 400, "DOCTYPE"),
    "JSON said to be XML": (b'{"resourceType":"Patient"}', XML, 400, "XML"),
    "XML said to be JSON": (f"<Patient {NS}/>".encode(), JSON, 400, "JSON"),
    "text": (b"x", {"content-type": "text/plain"}, 415, "text/plain"),
    "no content type": (b'{"resourceType":"Patient"}', {}, 415, "Content-Type"),
    "another character set": (b"{}", {"content-type": "application/fhir+json; charset=utf-16"}, 415, "utf-16"),
    "too large": (b'{"x":"' + b"y" * 2_000_000 + b'"}', JSON, 413, "2000000"),
    "a bomb": (gzip.compress(b" " * 50_000_000), JSON | {"content-encoding": "gzip"}, 413, "2000000"),
    "broken gzip": (b"x", JSON | {"content-encoding": "gzip"}, 400, "gzip"),
    "another coding": (b"x", JSON | {"content-encoding": "br"}, 415, "br"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_refused_in_no_time_and_nothing_of_it_is_stored(http: httpx.AsyncClient, name: str) -> None:
    body, headers, status, what = BAD_BODIES[name]
    await http.get("/fhir/Patient")
    started = time.perf_counter()
    answer = await http.post("/fhir/Patient", content=body, headers=headers)
    took = time.perf_counter() - started
    assert (answer.status_code, issue(answer)["severity"]) == (status, "error")
    assert what in " ".join(found["diagnostics"] for found in answer.json()["issue"])
    assert took < 1
    history = await http.get("/fhir/_history")
    assert history.json().get("entry", []) == []


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/fhir/Foo/1", 404),
        ("GET", "/fhir/patient/1", 404),
        ("GET", "/fhir/Patient/" + "x" * 65, 404),
        ("GET", "/fhir/Patient/a_b", 404),
        ("GET", "/fhir/Patient/%00", 400),
        ("GET", "/fhir/Patient/%ff", 400),
        ("GET", "/fhir/Patient?name=%00", 400),
        ("GET", "/fhir/Patient?name=%ff", 400),
        ("GET", "/fhir/Patient/1/_history/x", 404),
        ("GET", "/fhir/Patient/1/Foo", 404),
        ("GET", "/fhir/Observation/1/Patient", 404),
        ("GET", "/fhir/a/b/c/d/e/f/g", 404),
        ("GET", "/fhir/$no-such-operation", 404),
        ("POST", "/fhir/metadata", 405),
        ("DELETE", "/fhir", 405),
        ("PUT", "/fhir/Patient/_search", 405),
        ("GET", "/fhir/Patient?_count=-1", 400),
        ("GET", "/fhir/Patient?no-such-parameter=1", 400),
        ("GET", "/fhir/Patient?birthdate=yesterday", 400),
        ("GET", "/fhir/Patient?name=" + "a" * 20_000, 414),
        ("GET", "/fhir/Patient?_format=yaml", 406),
    ],
)
async def test_a_bad_url_is_refused(http: httpx.AsyncClient, method: str, url: str, status: int) -> None:
    answer = await http.request(method, url)
    assert answer.status_code == status, answer.text
    assert issue(answer)["diagnostics"]
    assert ("allow" in answer.headers) == (status == 405)


async def test_a_bad_id_cannot_be_written(http: httpx.AsyncClient) -> None:
    for id_ in ("a_b", "x" * 65, "%C3%A4", "a%20b"):
        answer = await http.put(f"/fhir/Patient/{id_}", json=patient(id_), headers=JSON)
        assert answer.status_code == 400, id_
    assert (await http.get("/fhir/_history")).json().get("entry", []) == []


async def test_errors_are_xml_for_those_who_speak_xml(http: httpx.AsyncClient) -> None:
    for method, url, status in (("GET", "/fhir/Foo", 404), ("DELETE", "/fhir", 405), ("GET", "/fhir/Patient/1", 404)):
        answer = await http.request(method, url, headers={"accept": "application/fhir+xml"})
        assert answer.status_code == status
        assert etree.QName(etree.fromstring(answer.content)).localname == "OperationOutcome"


async def test_a_form_with_thousands_of_values_is_answered_in_time(http: httpx.AsyncClient) -> None:
    ids = ",".join(f"id{number}" for number in range(4_000))
    started = time.perf_counter()
    answer = await http.post("/fhir/Patient/_search", data={"_id": ids})
    assert answer.status_code == 200
    too_many = await http.post("/fhir/Patient/_search", content="a=1&" * 10_000, headers=_form())
    assert too_many.status_code == 403
    assert time.perf_counter() - started < 3


def _form() -> dict[str, str]:
    return {"content-type": "application/x-www-form-urlencoded"}


async def test_random_requests_never_break_the_server(http: httpx.AsyncClient) -> None:
    """Paths, methods, headers and bodies at random, made of the parts that the server knows."""
    dice = random.Random(20_260_101)
    for number in range(1_500):
        method, url, headers, body = _at_random(dice)
        try:
            answer = await http.request(method, url, headers=headers, content=body)
        except httpx.InvalidURL:
            continue
        assert answer.status_code < 500 or answer.status_code == 501, (number, method, url, headers, body, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert b"OperationOutcome" in answer.content


_SEGMENTS = """
Patient Observation Binary Bundle a 1 _history _search metadata $meta $everything * %2F %00 ä Foo ~ ' $
"""
_NAMES = """
_id _count name _format _pretty _summary _elements _sort _include _has:Observation:patient:code birthdate _filter
_total _lastUpdated name:exact name:foo _since _at identifier : a.b.c
"""
_VALUES = "1 -1 a a,b | a|b xml json true 2020 ge2020-13 * %27 %5C $ 1e400 é"
_HEADERS = """
accept if-match if-none-match if-modified-since if-none-exist prefer x-request-id content-type content-encoding
x-forwarded-host x-forwarded-proto forwarded accept-encoding origin host range
"""
_HEADER_VALUES = """
* W/"1" " application/fhir+json application/fhir+xml text/plain gzip return=minimal respond-async a=b ÿþ https
x;q=2;q= ,,, ; _id=a name= %00
"""
_BODIES = """
{} [] x {"resourceType":"Patient"} {"resourceType":"Patient","id":"a"} null ÿ <a/> a=b&c {"resourceType":1}
{"resourceType":"Bundle","type":"batch","entry":[{}]} {"resourceType":"Bundle","type":"transaction","entry":[1]}
{"resourceType":"Parameters"} [{"op":"add"}] <Patient/>
"""
_METHODS = "GET GET HEAD POST PUT PATCH DELETE OPTIONS TRACE LINK"


def _word(dice: random.Random, words: str) -> str:
    """One of the words, or none."""
    return dice.choice([*words.split(), ""])


def _at_random(dice: random.Random) -> tuple[str, str, list[tuple[str, bytes]], bytes]:
    path = "/fhir/" + "/".join(_word(dice, _SEGMENTS) for _ in range(dice.randint(0, 5)))
    query = "&".join(f"{_word(dice, _NAMES)}={_word(dice, _VALUES)}" for _ in range(dice.randint(0, 3)))
    headers = [
        (name, _word(dice, _HEADER_VALUES).encode("latin-1"))
        for name in dice.choices(_HEADERS.split(), k=dice.randint(0, 4))
    ]
    method = dice.choice(_METHODS.split())
    return method, f"{path}?{query}" if query else path, headers, _word(dice, _BODIES).encode("latin-1")


async def test_random_header_bytes_never_break_the_server(http: httpx.AsyncClient) -> None:
    dice = random.Random(7)
    alphabet = (string.printable + "\u00ff\u00e9").encode("latin-1").replace(b"\n", b"").replace(b"\r", b"")
    for _ in range(300):
        value = bytes(dice.choices(alphabet, k=dice.randint(0, 60)))
        headers: list[tuple[str, Any]] = [
            (name, value)
            for name in ("accept", "if-none-match", "prefer", "accept-encoding", "x-request-id", "forwarded")
        ]
        answer = await http.get("/fhir/Patient", headers=headers)
        assert answer.status_code < 500, (value, answer.text)
        await asyncio.sleep(0)
